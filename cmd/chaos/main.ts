/**
 * `bun run chaos`: real replicas of the built executable under fire, and whether they keep every promise. Exit status: 0
 * they did, 1 they did not, 64 wrong usage. Imports no package before they are installed.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runToEnd } from "../cluster/lifetime.ts";
import { ensureBuilt } from "../tasks/build.ts";
import { Timeline } from "./timeline.ts";

const usage = `Starts three real replicas, lets people chat on them, and kills, freezes, stops, cuts off and damages replicas, as
the seed says. After every round all must come together with everything acknowledged there exactly once.

  bun run chaos                                     one minute, a new seed
  bun run chaos --minutes 10 --seed 7 --policy quorum

  --minutes N      no round begins after this (1)
  --rounds N       nor after so many
  --seed S         what strikes whom, and when (drawn)
  --policy P       available, quorum (available)
  --links L        namespaces: a network of their own, where a cut is a cut; takes root and Linux
                   relays: connections that are passed on, or not (namespaces where possible)
  --keep           keep the data directories, also when all is well
  --help

A run that fails keeps the data directories and prints the command that tries the same again. Some things are done only
by root on Linux: namespaces, and a small disk that fills up.
`;

interface Arguments {
  readonly minutes: number;
  readonly rounds: number;
  readonly seed: number;
  readonly policy: "available" | "quorum";
  readonly links: "namespaces" | "relays" | null;
  readonly keep: boolean;
}

function readArguments(args: readonly string[]): Arguments | string {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { minutes: text, rounds: text, seed: text, policy: text, links: text, keep: flag, help: flag },
    });
    if (values.help === true) return usage;
    const { policy = "available", links = null } = values;
    const minutes = Number(values.minutes ?? 1);
    const rounds = Number(values.rounds ?? Infinity);
    const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6));
    if (!(minutes > 0)) return "--minutes takes a number above 0\n";
    if (!(rounds >= 0)) return "--rounds takes a number from 0\n";
    if (!Number.isSafeInteger(seed) || seed < 0) return "--seed takes a whole number from 0\n";
    if (policy !== "available" && policy !== "quorum") return "--policy is available or quorum\n";
    if (links !== null && links !== "namespaces" && links !== "relays") return "--links is namespaces or relays\n";
    return { minutes, rounds, seed, policy, links, keep: values.keep === true };
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}\n\n${usage}`;
  }
}

const parsed = readArguments(Bun.argv.slice(2));
if (typeof parsed === "string") {
  if (parsed === usage) console.log(usage);
  else console.error(parsed);
  process.exit(parsed === usage ? 0 : 64);
}
const { minutes, rounds, seed, policy, keep } = parsed;
const say = (line: string): void => console.log(line);
await ensureBuilt({ progress: say });
const { Chaos } = await import("./chaos.ts");
const { namespacesMissing, Network } = await import("../cluster/network.ts");
const { Relays } = await import("../cluster/relays.ts");

const missing = parsed.links === "relays" ? null : namespacesMissing();
if (missing !== null && parsed.links === "namespaces") {
  console.error(`no namespaces: ${missing}; --links relays needs none`);
  process.exit(1);
}
const kind = parsed.links ?? (missing === null ? "namespaces" : "relays");
const links = kind === "namespaces" ? new Network() : await Relays.open();
const directory = await mkdtemp(join(tmpdir(), "chatd-chaos-"));
const timeline = new Timeline(say);
const chaos = new Chaos(
  { seed, policy, links, directory, forMs: minutes * 60_000, roundsMax: rounds, people: 5 },
  timeline,
);
const again =
  `bun run chaos --minutes ${minutes} --seed ${seed} --policy ${policy} --links ${kind}` +
  (Number.isFinite(rounds) ? ` --rounds ${rounds}` : "");

await runToEnd({
  async main() {
    say(again);
    await chaos.run();
    if (timeline.faults.length === 0) {
      say(`\n✓ nothing acknowledged is missing, doubled or out of order`);
      return 0;
    }
    say(`\n✗ ${timeline.faults.length} faults, the first: ${timeline.faults[0] ?? ""}`);
    say(`the same again (what strikes and when; not how it falls): ${again}`);
    return 1;
  },
  async cleanUp(reason) {
    await chaos.close();
    const kept = keep || timeline.faults.length > 0 || reason === "failed";
    if (kept) {
      for (const [at, path] of chaos.dataDirectories.entries()) {
        if (!path.startsWith(directory)) await cp(path, join(directory, String(at + 1)), { recursive: true });
      }
      say(`data and stderr of the replicas are kept in ${directory}`);
    }
    chaos.releaseDisk();
    if (!kept) await rm(directory, { recursive: true, force: true });
  },
});
