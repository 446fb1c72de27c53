/**
 * Keeps the processes of one owner: it is their parent, and when the owner is gone, however it went, they are killed.
 * That the owner is gone shows in the end of stdin, which no signal can prevent. The keeper has a session of its own,
 * so that signals to the owner's group or terminal do not reach it. Knows nothing about chat. Imports no package.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { eachLine } from "./lines.ts";
import type { KeeperOrder, KeeperReport } from "./keeper-orders.ts";

const kept = new Map<string, Bun.Subprocess>();
const adopted = new Set<number>();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

await eachLine(Bun.stdin.stream(), (line) => obey(JSON.parse(line)));
for (const child of kept.values()) signalIfThere(-child.pid, "SIGKILL");
for (const process of adopted) {
  // Without a group of its own there is none of that number.
  signalIfThere(-process, "SIGKILL");
  signalIfThere(process, "SIGKILL");
}
await Promise.all([...kept.values()].map((child) => child.exited));
process.exit(0);

function obey(order: KeeperOrder): void {
  switch (order.do) {
    case "start":
      return start(order.name, order.command, order.stderrFile);
    case "signal": {
      const child = kept.get(order.name);
      if (child) signalIfThere(-child.pid, order.signal);
      return;
    }
    case "adopt":
      adopted.add(order.process);
      return;
    case "release":
      adopted.delete(order.process);
      return;
  }
}

function start(name: string, command: readonly string[], stderrFile: string): void {
  try {
    const stderr = openSync(stderrFile, "a");
    const child = Bun.spawn({
      cmd: [...command],
      stdio: ["ignore", "pipe", stderr],
      // A session of its own: Ctrl-C at the owner's terminal is for the owner alone.
      detached: true,
    });
    closeSync(stderr);
    kept.set(name, child);
    report({ event: "started", name, process: child.pid });
    const output = eachLine(child.stdout, (line) => report({ event: "line", name, line }));
    void Promise.all([child.exited, output]).then(() => {
      kept.delete(name);
      report({
        event: "exited",
        name,
        exitCode: child.exitCode,
        signal: child.signalCode === null ? null : String(child.signalCode),
      });
    });
  } catch (error) {
    report({ event: "failed", name, message: error instanceof Error ? error.message : String(error) });
  }
}

function report(message: KeeperReport): void {
  try {
    writeSync(1, `${JSON.stringify(message)}\n`);
  } catch {
    // The owner has gone; stdin says so too, and that is where the rest is done.
  }
}

/** A negative id is the group of that process: what it started as well. */
function signalIfThere(id: number, signal: NodeJS.Signals): void {
  try {
    process.kill(id, signal);
  } catch {
    // It has ended by itself.
  }
}
