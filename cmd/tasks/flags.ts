/**
 * The flags of the project's own scripts, read before anything is done: `--help` prints the help and ends with 0, what is
 * unknown ends with 64 and one line. Imports no package: it runs before any is installed.
 */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

/** The exit status of a wrong command line, as of `chatd` itself. */
const usageStatus = 64;

/** The values of the flags that were given. Ends the process when there is nothing to do but to say something. */
export function flagsOrEnd<const Options extends ParseArgsOptionsConfig>(
  script: string,
  usage: string,
  options: Options,
) {
  try {
    const { values } = parseArgs({
      args: Bun.argv.slice(2),
      options: { ...options, help: { type: "boolean", short: "h" } },
    });
    if (!("help" in values)) return values;
    console.log(usage);
  } catch (error) {
    endWrongUsage(script, error instanceof Error ? error.message : String(error));
  }
  process.exit(0);
}

/** Says in one line what is wrong with the command line, and ends the process. */
export function endWrongUsage(script: string, message: string): never {
  console.error(`${script}: ${message.replace(/\.$/, "")}; see ${script} --help`);
  process.exit(usageStatus);
}
