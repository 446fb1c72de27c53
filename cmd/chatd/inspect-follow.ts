/**
 * `chatd inspect-log --follow`: looks again and again, shows what has become durable, and ends quietly when it is told to
 * or nobody reads any more.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { LogFollower, type FollowedItem } from "../../lib/log/follower.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { readerWatch, type Output } from "./inspect-output.ts";
import type { Shown } from "./inspect-shown.ts";
import type { LogLocation } from "./log-location.ts";

const lookAgainMs = 100;
/** When it has to end while nobody takes its lines. */
const lastLinesMs = 200;

export async function follow({ disk, only }: LogLocation, shown: Shown, output: Output): Promise<number> {
  if (only !== undefined) {
    const message = "--follow with one segment: it goes on in the next one; name the directory";
    throw new CommandFailure(`${message}; see chatd inspect-log --help`, exitStatus.usage);
  }
  const ending = new AbortController();
  const end = (): void => ending.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  const ended = new Promise<void>((resolve) => ending.signal.addEventListener("abort", () => resolve()));
  const isReaderGone = readerWatch();
  const follower = new LogFollower(disk);
  shown.begin();
  while (!ending.signal.aborted && !output.isGone && !shown.isEnough && !isReaderGone()) {
    for (const item of follower.look()) {
      take(item, shown);
      if (output.isFull) {
        await Promise.race([output.drained(), ended]);
        // A signal comes in a turn of its own.
        await nextTurn();
      }
      if (shown.isEnough || output.isGone || ending.signal.aborted) break;
    }
    await Promise.race([output.drained(), ended]);
    if (!shown.isEnough) await Promise.race([sleep(lookAgainMs), ended]);
  }
  if (!ending.signal.aborted) return exitStatus.done;
  await Promise.race([output.drained(), sleep(lastLinesMs)]);
  process.exit(exitStatus.done);
}

function take(item: FollowedItem, shown: Shown): void {
  if ("change" in item) shown.change(item);
  else shown.item(item);
}
