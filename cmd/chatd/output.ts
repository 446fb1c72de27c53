/**
 * What commands that say something and end write to stdout and stderr: all at once, so that nothing is lost by the end of
 * the process. A reader that has left is no error; a full disk is one. Knows nothing of what is said.
 */
import { writeSync } from "node:fs";
import { isReaderGone, messageOf } from "./chat-ends.ts";
import { CommandFailure, exitStatus } from "./failure.ts";

/** How long a reader is given that does not keep up, before it is tried again. */
const retryMs = 5;

/** To stdout, as it is. Throws `CommandFailure` (74) when it cannot be written. */
export function print(text: string): void {
  try {
    writeWhole(1, text);
  } catch (cause) {
    if (isReaderGone(cause)) return;
    throw new CommandFailure(`cannot write to stdout: ${messageOf(cause)}`, exitStatus.disk, { cause });
  }
}

/** To stderr, as it is. When there is nobody to tell, that is no reason not to go on. */
export function remark(text: string): void {
  try {
    writeWhole(2, text);
  } catch {
    // There is nobody to tell.
  }
}

function writeWhole(descriptor: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      // A pipe that another process has made not to block, and that is full.
      if (!(error instanceof Error) || !("code" in error) || error.code !== "EAGAIN") throw error;
      Bun.sleepSync(retryMs);
    }
  }
}
