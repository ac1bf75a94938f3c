// The comparison of texts, as one module: tools/bundle_assets.py bundles this with esbuild.

export { diffLines, diffWordsWithSpace } from "diff";
