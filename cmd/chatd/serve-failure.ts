/** What is said when a replica cannot start or must not go on, and the exit status that goes with it. Ends nothing. */
import { StateFormatError, StateStorageError } from "../../lib/chat/chat.ts";
import { DataDirectoryError } from "../../lib/io/data-directory.ts";
import { ListenError } from "../../lib/io/tcp.ts";
import { DiskError } from "../../lib/log/disk.ts";
import { LogRefusedError } from "../../lib/log/errors.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import type { ServeSettings } from "./serve-flags.ts";

export function statusOf(error: unknown): number {
  if (error instanceof CommandFailure) return error.status;
  if (error instanceof DataDirectoryError && failing.test(error.message)) return exitStatus.disk;
  if (error instanceof DataDirectoryError || error instanceof LogRefusedError || error instanceof StateFormatError) {
    return exitStatus.dataDirectory;
  }
  if (error instanceof DiskError || error instanceof StateStorageError) {
    // A file that belongs to somebody else: the disk is well.
    return denied.test(error.message) ? exitStatus.dataDirectory : exitStatus.disk;
  }
  return exitStatus.failed;
}

/** Errors reach this through libraries and threads that keep nothing but their message. */
const denied = /\b(EACCES|EPERM)\b/;
const failing = /\b(EIO|ENOSPC|EDQUOT)\b/;

/** What went wrong, in one line that names the thing and says what to do; a mistake in chatd itself is left as it is. */
export function explain(error: unknown, { data, pid }: Pick<ServeSettings, "data" | "pid">): unknown {
  const status = statusOf(error);
  if (!(error instanceof Error) || error instanceof CommandFailure) return error;
  if (error instanceof ListenError)
    return new CommandFailure(`${error.message}${remedies[error.code]}`, status, { cause: error });
  if (status === exitStatus.failed) return error;
  const where = error.message.includes(data) ? "" : `${data} (replica ${pid}): `;
  return new CommandFailure(`${where}${error.message}${remedyFor(error)}`, status, { cause: error });
}

function remedyFor(error: Error): string {
  if (error instanceof DataDirectoryError) return "";
  if (/ENOSPC|EDQUOT|disk (is )?full/.test(error.message)) return "; make room on this disk, then start it again";
  if (/EACCES|EPERM|EROFS|readonly database/.test(error.message))
    return "; make it readable and writable for this user";
  if (error instanceof StateStorageError)
    return "; put state.sqlite* aside: the state is built again from the log or, where that was shortened, taken from another replica";
  return "";
}

const remedies: Readonly<Record<ListenError["code"], string>> = {
  "in-use": ": end what uses it, or give this replica another address (--peers, --listen)",
  "not-here": ": correct its entry in --peers, or say where to bind with --listen",
  denied: ": choose a port above 1023 (--peers, --listen)",
  other: "",
};
