/**
 * `chatd chat --send`, `--read` and `--follow`: their flags, checked, and their ways in and out: passwords, stdin, stdout,
 * signals. What they do is `lib/tui/one-shot.ts`'s.
 */
import type { ChatClient, ClientPorts } from "../../lib/client/types.ts";
import { createClient } from "../../lib/client/client.ts";
import { PrivateFilesError, type PrivateFiles } from "../../lib/base/private-files.ts";
import { limits } from "../../lib/base/limits.ts";
import { detectCapabilities } from "../../lib/tui/interactive.ts";
import { StdoutLines } from "../../lib/tui/json-stdio.ts";
import { runOneShot, type Stop, type Task } from "../../lib/tui/one-shot.ts";
import { isReaderGone, messageOf, signalGraceMs, signals } from "./chat-ends.ts";
import { CommandFailure, complain, exitStatus } from "./failure.ts";
import { readPassword, refusePasswordArgument, type PasswordFlags } from "./password.ts";
import { reaching } from "./servers.ts";
import { accountFiles, outboxIn } from "./storage.ts";
import { software } from "./version.ts";

export interface OneShotFlags extends PasswordFlags {
  readonly server: readonly string[];
  readonly user?: string;
  readonly send?: string;
  readonly read?: true;
  readonly follow?: true;
  readonly json?: true;
  readonly idleLogout: number;
  readonly giveUpMs: number;
}

const usage = (message: string): CommandFailure =>
  new CommandFailure(`${message}; see chatd chat --help`, exitStatus.usage);

/** What is to be done, or null when it is to be a chat. Throws `CommandFailure` (64) for flags that make no sense. */
export function taskOf(flags: OneShotFlags, words: readonly string[]): "send" | "show" | null {
  const { send, read, follow, passwordFile, passwordFd, user } = flags;
  refusePasswordArgument(flags);
  if (send === undefined && words.length > 0) {
    throw usage(`${JSON.stringify(words[0])} is left over: a text goes with --send NAME`);
  }
  if (send === undefined && read === undefined && follow === undefined) {
    if (passwordFile !== undefined || passwordFd !== undefined) {
      throw usage("--password-file and --password-fd go with --send, --read or --follow: a chat asks for the password");
    }
    return null;
  }
  if (send !== undefined && (read !== undefined || follow !== undefined)) {
    throw usage(`option '--send <NAME>' cannot be used with option '--${read === undefined ? "follow" : "read"}'`);
  }
  if (flags.idleLogout > 0) throw usage("option '--idle-logout <SECONDS>' is for a chat, where somebody sits");
  if (user === undefined) throw usage("--user NAME is needed with --send, --read and --follow");
  if (send === undefined) return "show";
  if (words.length === 0) throw usage("--send NAME needs a text after it, or - for what stands on stdin");
  if (words.length > 1)
    throw usage(`the text of --send is one argument: put it in quotes (${words.length} were given)`);
  if (words[0] === "-" && flags.passwordFd === 0) {
    throw usage("the password and the text cannot both come from stdin: use another descriptor");
  }
  return "send";
}

/** Ends the process itself: what is left of stdin may never come. */
export async function runTask(
  what: "send" | "show",
  flags: OneShotFlags,
  words: readonly string[],
  ports: ClientPorts,
) {
  const { user = "", json = false, giveUpMs, server } = flags;
  const password = readPassword(flags, process.env);
  const files = filesOf(user);
  const task = what === "send" ? await sending(flags.send ?? "", words[0] ?? "") : showing(flags);
  const stop = new AbortController();
  const ending: { status: number | null } = { status: null };
  const output = new StdoutLines((error) => {
    const isFailure = !isReaderGone(error);
    if (isFailure && ending.status === null) complain(`cannot write to stdout: ${messageOf(error)}`);
    ending.status ??= isFailure ? exitStatus.disk : exitStatus.done;
    stop.abort({ isCancelled: false, isUnread: true } satisfies Stop);
  });
  for (const [signal, code] of Object.entries(signals)) {
    process.on(signal, () => {
      if (ending.status !== null) return;
      ending.status = code;
      stop.abort({ isCancelled: signal === "SIGINT", isUnread: false } satisfies Stop);
      // For the goodbye, and for output that nobody takes.
      setTimeout(() => process.exit(code), 2 * signalGraceMs);
    });
  }
  const client: ChatClient = createClient({ ...reaching(server), software }, ports);
  const { unicode } = detectCapabilities(process.env, process.stdin, process.stdout);
  const options = {
    user,
    password,
    json,
    unicode,
    clock: ports.clock,
    giveUpMs,
    output,
    complain,
    signal: stop.signal,
  };
  const status = await runOneShot(client, outboxIn(files, server, ports), task, options);
  process.exit(ending.status ?? status);
}

function filesOf(user: string): PrivateFiles {
  try {
    return accountFiles(user);
  } catch (error) {
    if (!(error instanceof PrivateFilesError)) throw error;
    const status = error.code === "disk" ? exitStatus.disk : exitStatus.dataDirectory;
    throw new CommandFailure(error.message, status, { cause: error });
  }
}

const showing = ({ read, follow }: OneShotFlags): Task => ({
  type: "show",
  new: read === true,
  follow: follow === true,
});

/** The newline at the end of a file is not part of a message; those within it are. */
async function sending(to: string, word: string): Promise<Task> {
  if (word !== "-") return { type: "send", to, text: word };
  const bytes = await readAll();
  const text = new TextDecoder("utf-8", { fatal: true });
  try {
    return { type: "send", to, text: text.decode(bytes).replace(/\r?\n$/, "") };
  } catch (error) {
    throw new CommandFailure("not sent: stdin is not UTF-8", exitStatus.failed, { cause: error });
  }
}

/** No more than could be sent. */
async function readAll(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of Bun.stdin.stream()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > limits.textBytesMax + 2) {
      throw new CommandFailure(
        `not sent: stdin is longer than a text may be (${limits.textBytesMax} bytes)`,
        exitStatus.failed,
      );
    }
  }
  return Buffer.concat(chunks);
}
