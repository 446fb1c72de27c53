/**
 * The linter (oxlint, with the rules that need types) and the search for dead files and exports (knip), both without a
 * single warning. Runs by itself (`bun run lint [paths]`); the gate takes the two commands from here.
 */
import { ensureInstalled } from "./install.ts";
import { bun, run } from "./run.ts";

/** Started through Bun: their own first lines ask for a Node that need not be there. */
export const lintCommand = [bun, "node_modules/oxlint/bin/oxlint", "--type-aware", "--deny-warnings"];
export const deadCodeCommand = [bun, "node_modules/knip/bin/knip.js"];

if (import.meta.main) {
  await ensureInstalled();
  const paths = Bun.argv.slice(2);
  const lint = await run([...lintCommand, ...paths]);
  const dead = paths.length === 0 ? await run(deadCodeCommand) : 0;
  process.exitCode = lint !== 0 || dead !== 0 ? 1 : 0;
}
