/** The option `--server`, for every command that talks to replicas. */
import { InvalidArgumentError, Option } from "commander";
import { parseAddress } from "../../lib/base/address.ts";

const defaultServers = ["127.0.0.1:1538", "127.0.0.1:2538", "127.0.0.1:3538"];

export const serverOption = (): Option =>
  new Option("--server <HOST:PORT,…>", "replicas to start with; others are learnt from them")
    .env("CHATD_SERVER")
    .argParser(parseServers)
    .default(defaultServers, defaultServers.join(","));

/** Commas between addresses; blanks around them and an empty one at the end are forgiven. */
function parseServers(text: string): readonly string[] {
  const servers = text
    .split(",")
    .map((each) => each.trim())
    .filter((each) => each !== "");
  if (servers.length === 0) throw new InvalidArgumentError("It must name at least one HOST:PORT.");
  for (const server of servers) {
    if (parseAddress(server) === null) {
      throw new InvalidArgumentError(`${JSON.stringify(server)} is not HOST:PORT (a port is 1 to 65535).`);
    }
  }
  return servers;
}
