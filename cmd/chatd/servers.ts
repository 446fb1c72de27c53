/** The option `--server`, for every command that talks to replicas. */
import { InvalidArgumentError, Option } from "commander";
import { parseAddress } from "../../lib/base/address.ts";
import type { ClientOptions } from "../../lib/client/types.ts";

const defaultServers: readonly string[] = ["127.0.0.1:1538", "127.0.0.1:2538", "127.0.0.1:3538"];

export const serverOption = (): Option =>
  new Option("--server <HOST:PORT,…>", "replicas to start with; others are learnt from them")
    .env("CHATD_SERVER")
    .argParser(parseServers)
    .default(defaultServers, defaultServers.join(","));

const remedy = "start one with chatd serve, or name one that runs elsewhere with --server HOST:PORT or CHATD_SERVER";

/** What to do when none of these answers; null when the user has named them. */
export const remedyFor = (servers: readonly string[]): string | null => (servers === defaultServers ? remedy : null);

/** For a client that starts with these. */
export function reaching(servers: readonly string[]): Pick<ClientOptions, "servers" | "remedy"> {
  return servers === defaultServers ? { servers, remedy } : { servers };
}

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
