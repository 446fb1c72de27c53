/**
 * What `chatd chat` keeps on this machine for an account, put together from its parts: where it lies, and what the outbox
 * needs to go on with the sessions of processes that have ended.
 */
import { resumeClient } from "../../lib/client/client.ts";
import { openOutbox, type Outbox } from "../../lib/client/outbox.ts";
import type { ClientPorts } from "../../lib/client/types.ts";
import { openUnfinishedLines } from "../../lib/client/unfinished-lines.ts";
import type { PrivateFiles } from "../../lib/base/private-files.ts";
import { fileNameFor, openPrivateFiles, stateHome } from "../../lib/io/private-files.ts";
import type { OpenStorage } from "../../lib/tui/outlet.ts";
import { software } from "./version.ts";

/** Of one account, whichever way its name is spelled; made and found to be private. Throws `PrivateFilesError`. */
export function accountFiles(user: string): PrivateFiles {
  const directory = fileNameFor(user.normalize("NFC").toLowerCase());
  const files = openPrivateFiles(stateHome(process.env), "outbox", directory);
  files.prepare();
  return files;
}

export function outboxIn(files: PrivateFiles, servers: readonly string[], ports: ClientPorts): Outbox {
  const { clock, randomBytes } = ports;
  return openOutbox(servers, {
    files,
    clock,
    randomBytes,
    resume: (session) => resumeClient(session, { servers, software }, ports),
  });
}

/** For the interactive client, which goes on without it where nothing can be kept. */
export function storageOpener(servers: readonly string[], ports: ClientPorts): OpenStorage {
  return (client, user, trouble) => {
    const cluster = client.key?.cluster;
    if (cluster === undefined) return null;
    try {
      const files = accountFiles(user);
      const outbox = outboxIn(files, servers, ports);
      const lines = openUnfinishedLines(cluster, { files, clock: ports.clock, trouble });
      const close = async (): Promise<void> => void (await Promise.all([outbox.close(), lines.close()]));
      return { outbox, lines, close };
    } catch (error) {
      trouble(
        `messages are not kept on this machine until they are sent: ${error instanceof Error ? error.message : ""}`,
      );
      return null;
    }
  };
}
