// A DHT of its own on loopback for Hyper: prints how it is reached, as JSON, and ends with its standard input.
//     node testnet.mjs LIBRARIES-FOLDER
const { createTestnet } = await import(`${process.argv[2]}/hyper.mjs`);
const testnet = await createTestnet(3, { host: "127.0.0.1" });
process.stdout.write(`${JSON.stringify(testnet.bootstrap.map(({ host, port }) => `${host}:${port}`))}\n`);
process.stdin.resume();
process.stdin.once("end", async () => {
  await testnet.destroy();
  process.exit(0);
});
