/**
 * `chatd chat`: its flags, and the choice between JSON, the prompts and plain lines. Puts the client library on the real
 * network; what is shown and read is `lib/tui`'s.
 */
import { Command, Option } from "commander";
import { createClient } from "../../lib/client/client.ts";
import type { ChatClient, ClientPorts } from "../../lib/client/types.ts";
import { clientPorts } from "../../lib/io/client-ports.ts";
import { systemClock } from "../../lib/io/clock.ts";
import { detectCapabilities, runInteractive } from "../../lib/tui/interactive.ts";
import { commandNames } from "../../lib/tui/json-commands.ts";
import { stdinChunks, StdoutLines } from "../../lib/tui/json-stdio.ts";
import { runJson } from "../../lib/tui/json.ts";
import { isReaderGone, messageOf, signalGraceMs, signals } from "./chat-ends.ts";
import { CommandFailure, complain, exitStatus } from "./failure.ts";
import { runTask, taskOf, type OneShotFlags } from "./one-shot.ts";
import { passwordOptions } from "./password.ts";
import { reaching, serverOption } from "./servers.ts";
import { storageOpener } from "./storage.ts";
import { wholeNumber } from "./usage.ts";
import { software } from "./version.ts";

const giveUpMsDefault = 30_000;
const milliseconds = wholeNumber(0, 2 ** 31 - 1);
/** As many as a timer of milliseconds can hold. */
const seconds = wholeNumber(0, 2_000_000);

interface ChatFlags extends OneShotFlags {
  readonly plain?: true;
}

export function chatCommand(): Command {
  const command = new Command("chat")
    .description("Chat in this terminal, or let a script do it.")
    .argument("[TEXT...]", "with --send: what to send, or - for what stands on stdin")
    .addOption(serverOption())
    .option("--user <NAME>", "who signs in (asked for otherwise)")
    .option("--plain", "one line after the other, nothing redrawn: for screen readers and logs")
    .addOption(
      new Option("--json", "one JSON command a line in, one JSON event a line out: for scripts").conflicts([
        "plain",
        "idleLogout",
      ]),
    )
    .option("--send <NAME>", "send one message and end: 0 once it is acknowledged, 69 when it is kept for the next run")
    .option("--read", "show what is new, mark it read, and end")
    .option("--follow", "show what arrives until stopped; after what is new with --read")
    .option(
      "--give-up-ms <MS>",
      "without a terminal: how long to wait for answers after the input's end, and for a server",
      milliseconds,
      giveUpMsDefault,
    )
    .option("--idle-logout <SECONDS>", "log out after so long without a key; 0 = never", seconds, 0)
    .addHelpText("after", examples)
    .action(async (words: readonly string[], flags: ChatFlags) => {
      const ports = clientPorts();
      const task = taskOf(flags, words);
      if (task !== null) return runTask(task, flags, words, ports);
      if (flags.json === true && flags.user !== undefined) {
        const message =
          "option '--json' cannot be used with option '--user <NAME>', but for --send, --read and --follow";
        throw new CommandFailure(`${message}; see chatd chat --help`, exitStatus.usage);
      }
      const client = createClient({ ...reaching(flags.server), software }, ports);
      if (flags.json === true) await chatInJson(client, flags.giveUpMs);
      else process.exitCode = await chatWithPerson(client, flags, ports);
    });
  for (const option of passwordOptions()) command.addOption(option);
  return command;
}

/** Broken into lines that a terminal has room for. */
const jsonCommands = `Commands of --json: ${commandNames.join(" ")}.`.replace(/(.{1,118})(?: |$)/g, "$1\n").trimEnd();

const examples = `
Examples:
  chatd chat                                         the three replicas of this machine
  chatd chat --server 10.0.0.2:1538 --user alice     another machine; one address is enough
  chatd chat --plain | tee chat.log                  lines only
  printf '%s\\n' alice 'correct horse' '/msg bob lunch?' | chatd chat
                                                     a pipe holds what a person would type: name, password, lines
  export CHATD_PASSWORD='correct horse'
  chatd chat --user alice --send bob "lunch?"        one message; exit 69: no server, it goes out with the next run
  uptime | chatd chat --user alice --send bob -      the text from stdin
  chatd chat --user alice --read                     what is new
  chatd chat --user bot --password-file ~/.bot --read --follow --json | ./bot
                                                     what is new, then what arrives, one JSON event a line
  echo '{"do":"accounts","pattern":"a*"}' | chatd chat --json
  printf '%s\\n' '{"do":"login","user":"alice","password":"correct horse"}' \\
    '{"do":"send","to":"bob","text":"hi","tag":"1"}' | chatd chat --json

${jsonCommands}
Lines of the chat: /help lists them.

Messages of a chat and of --send are on this machine's disk ($XDG_STATE_HOME/chatd/outbox) before they are sent, until
they are acknowledged; --json keeps none.

Exit status: 0 done, 1 refused, or something of a script's input was refused or stayed unknown, 64 usage, 69 no server
could be reached (with --send: the message is kept, and goes out, once, with the next run), 73 nothing can be kept there,
74 the disk is full or the output cannot be written, 77 wrong password.
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

function chatWithPerson(client: ChatClient, flags: ChatFlags, ports: ClientPorts): Promise<number> {
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
    openStorage: storageOpener(flags.server, ports),
    ...(flags.user === undefined ? {} : { user: flags.user }),
  });
}
