/** The simulated network keeps the contract of every transport. Real TCP is tested beside its source. */
import { expect } from "bun:test";
import { ByteNetwork } from "../sim/byte-network.ts";
import { transportContract } from "./transport.contract.ts";

transportContract("the simulated network", () => {
  const network = new ByteNetwork();
  let port = 1000;
  return {
    transport: network.transport,
    host: "127.0.0.1",
    port: () => port++,
    deadPort: () => 999,
    until: async (condition) => expect(await network.run(60_000, condition)).toBeTrue(),
    backPressure: false,
  };
});
