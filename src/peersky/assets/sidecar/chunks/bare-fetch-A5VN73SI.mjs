import{createRequire as nodeRequire}from"node:module";const require=nodeRequire(import.meta.url);
import{a as r,c as t}from"./chunk-PGCZT62D.mjs";var e=t((s,o)=>{o.exports=r(function(){throw new Error("bare-fetch is not part of this program.")},"unused")});export default e();
