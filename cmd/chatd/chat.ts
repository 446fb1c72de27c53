/**
 * `chatd chat`: its flags, and the choice between JSON, the prompts and plain lines. Puts the client library on the real
 * network; what is shown and read is `lib/tui`'s.
 */
import { Command, Option } from "commander";
import { createClient } from "../../lib/client/client.ts";
import type { ChatClient } from "../../lib/client/types.ts";
import { systemClock } from "../../lib/io/clock.ts";
import { tcpTransport } from "../../lib/io/tcp.ts";
import { detectCapabilities, runInteractive } from "../../lib/tui/interactive.ts";
import { stdinChunks, StdoutLines } from "../../lib/tui/json-stdio.ts";
import { runJson } from "../../lib/tui/json.ts";
import { complain, exitStatus } from "./failure.ts";
import { serverOption } from "./servers.ts";
import { wholeNumber } from "./usage.ts";
import { software } from "./version.ts";

const giveUpMsDefault = 30_000;
/** How long a signal leaves for the goodbye and for output that nobody reads. */
const signalGraceMs = 1000;
const milliseconds = wholeNumber(0, 2 ** 31 - 1);
/** As many as a timer of milliseconds can hold. */
const seconds = wholeNumber(0, 2_000_000);
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

interface ChatFlags {
  readonly server: readonly string[];
  readonly user?: string;
  readonly plain?: true;
  readonly json?: true;
  readonly giveUpMs: number;
  readonly idleLogout: number;
}

export function chatCommand(): Command {
  return new Command("chat")
    .description("Chat in this terminal, or let a script do it.")
    .addOption(serverOption())
    .option("--user <NAME>", "who signs in (asked for otherwise)")
    .option("--plain", "one line after the other, nothing redrawn: for screen readers and logs")
    .addOption(
      new Option("--json", "one JSON command a line in, one JSON event a line out: for scripts").conflicts([
        "user",
        "plain",
        "idleLogout",
      ]),
    )
    .option(
      "--give-up-ms <MS>",
      "without a terminal: how long to wait for answers after the input's end, and for a server",
      milliseconds,
      giveUpMsDefault,
    )
    .option("--idle-logout <SECONDS>", "log out after so long without a key; 0 = never", seconds, 0)
    .addHelpText("after", examples)
    .action(async (flags: ChatFlags) => {
      const client = createClient(
        { servers: flags.server, software },
        {
          transport: tcpTransport(),
          clock: systemClock,
          randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
        },
      );
      if (flags.json === true) await chatInJson(client, flags.giveUpMs);
      else process.exitCode = await chatWithPerson(client, flags);
    });
}

const examples = `
Examples:
  chatd chat                                         the three replicas of this machine
  chatd chat --server 10.0.0.2:1538 --user alice     another machine; one address is enough
  chatd chat --plain | tee chat.log                  lines only
  printf '%s\\n' alice 'correct horse' '/msg bob lunch?' | chatd chat
                                                     a pipe holds what a person would type: name, password, lines
  echo '{"do":"accounts","pattern":"a*"}' | chatd chat --json
  printf '%s\\n' '{"do":"login","user":"alice","password":"correct horse"}' \\
    '{"do":"send","to":"bob","text":"hi","tag":"1"}' | chatd chat --json

Commands of --json: create login logout delete-account accounts send inbox open messages mark delete status.
Lines of the chat: /help lists them.

Exit status: 0 done, 1 something of a script's input was refused or stayed unknown, 64 usage, 69 no server could be
reached, 74 the output cannot be written.
`;

/** Ends the process itself: what is left of stdin may never come. */
async function chatInJson(client: ChatClient, giveUpMs: number): Promise<void> {
  const stop = new AbortController();
  let status: number | null = null;
  for (const [signal, code] of Object.entries(signals)) {
    process.on(signal, () => {
      // It may come twice, to the group and through a parent; the grace is for output that nobody takes.
      if (status !== null) return;
      status = code;
      stop.abort();
      setTimeout(() => process.exit(code), signalGraceMs);
    });
  }
  const output = new StdoutLines((error) => {
    // Whoever read has read enough: that is no failure.
    const isFailure = !isReaderGone(error);
    if (isFailure && status === null) complain(`cannot write to stdout: ${messageOf(error)}`);
    status ??= isFailure ? exitStatus.disk : exitStatus.done;
    stop.abort();
  });
  const options = { clock: systemClock, giveUpMs, complain, signal: stop.signal };
  const result = await runJson(client, stdinChunks(), output, options);
  process.exit(status ?? result);
}

const isReaderGone = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "EPIPE";

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function chatWithPerson(client: ChatClient, flags: ChatFlags): Promise<number> {
  const { stdin: input, stdout: output } = process;
  const capabilities = detectCapabilities(process.env, input, output);
  return runInteractive(client, {
    ...capabilities,
    plain: flags.plain === true || capabilities.plain,
    input,
    output,
    idleLogoutSeconds: flags.idleLogout,
    giveUpMs: flags.giveUpMs,
    complain,
    ...(flags.user === undefined ? {} : { user: flags.user }),
  });
}
