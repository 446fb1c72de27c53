/**
 * Finds the files that processes of this account left behind, and claims those that may be sent to this cluster. What
 * cannot be read, or is not for this program, is left where it is and told of.
 */
import type { PrivateFile, PrivateFiles } from "../base/private-files.ts";
import { OutboxFile } from "./outbox-file.ts";
import type { KeptMessage, OutboxContent } from "./outbox-records.ts";

export interface Adopted {
  readonly file: OutboxFile;
  /** Open and to be sent, in order. */
  readonly messages: readonly KeptMessage[];
}

/** In the order in which they were begun. `trouble` is told one line of each that is not taken and should have been. */
export function adoptFiles(
  files: PrivateFiles,
  cluster: string,
  servers: readonly string[],
  trouble: (text: string) => void,
): Adopted[] {
  const adopted: Adopted[] = [];
  let names: readonly string[] = [];
  try {
    names = files.list().filter((name) => name.endsWith(".outbox"));
  } catch (error) {
    trouble(messageOf(error));
  }
  for (const name of names) {
    try {
      const file = files.claim(name);
      const found = file === null ? null : adopt(file, cluster, servers, trouble);
      if (found !== null) adopted.push(found);
    } catch (error) {
      trouble(messageOf(error));
    }
  }
  return adopted;
}

function adopt(
  file: PrivateFile,
  cluster: string,
  servers: readonly string[],
  trouble: (text: string) => void,
): Adopted | null {
  let content: OutboxContent;
  try {
    content = OutboxFile.read(file);
  } catch (error) {
    file.release();
    throw error;
  }
  if (content.format === "later") {
    file.release();
    trouble(`${file.path} was written by a later version of this program: it is left alone, start that version`);
    return null;
  }
  if (!isFor(content, cluster, servers)) {
    file.release();
    return null;
  }
  if (content.damaged > 0) return adoptDamaged(file, content, trouble);
  if (content.messages.length === 0) {
    file.remove();
    return null;
  }
  return { file: OutboxFile.adopt(file, content), messages: content.messages };
}

/** What was kept while no server was reached is for whoever answers at one of the addresses it was meant for. */
function isFor(content: OutboxContent, cluster: string, servers: readonly string[]): boolean {
  if (content.format === "none") return true;
  if (content.cluster !== null) return content.cluster === cluster;
  // Whom it was meant for is among what cannot be read.
  if (content.damaged > 0 && content.servers.length === 0) return true;
  return content.servers.some((server) => servers.includes(server));
}

/**
 * A record is missing, maybe the one that says that a message was sent: only those of which it is known how they were are
 * asked for again. The file is kept for somebody to look at.
 */
function adoptDamaged(file: PrivateFile, content: OutboxContent, trouble: (text: string) => void): Adopted | null {
  const bound = content.messages.filter(({ binding }) => binding !== null);
  const doubtful = content.messages.length - bound.length;
  const lost = `${content.damaged} of its lines cannot be read`;
  const unsure = doubtful === 0 ? "" : ` and ${doubtful} messages in it may have been sent or not`;
  if (bound.length === 0) {
    file.setAside();
    trouble(`${file.path} is damaged: ${lost}${unsure}; it is kept as ${file.path}.damaged`);
    return null;
  }
  trouble(`${file.path} is damaged: ${lost}${unsure}; what was under way is finished`);
  return { file: OutboxFile.adopt(file, content), messages: bound };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
