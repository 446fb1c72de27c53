/**
 * `chatd admin`: what whoever runs the servers does for accounts. Its flags and what it says; a password that nobody is
 * asked for comes from `password.ts`. The request goes through the log like any other op of a session.
 */
import { isCancel, password as ask } from "@clack/prompts";
import { Argument, Command } from "commander";
import { createClient } from "../../lib/client/client.ts";
import type { Answers, ChatClient, Refused } from "../../lib/client/types.ts";
import { systemClock } from "../../lib/io/clock.ts";
import { clientPorts } from "../../lib/io/client-ports.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { print } from "./output.ts";
import { passwordOptions, readPassword, refusePasswordArgument, type PasswordFlags } from "./password.ts";
import { reaching, serverOption } from "./servers.ts";
import { software } from "./version.ts";

interface Flags extends PasswordFlags {
  readonly server: readonly string[];
  readonly json?: true;
}

/** How long an answer is waited for. */
const patienceMs = 30_000;
/** How long a server is looked for: the others make a view within this when one has died. */
const failoverMs = 2_000;

export function adminCommand(): Command {
  return new Command("admin")
    .description("Help an account out, as whoever runs the servers.")
    .addCommand(resetPasswordCommand());
}

function resetPasswordCommand(): Command {
  const command = new Command("reset-password")
    .description("Give an account another password; its sessions end, and it is told.")
    .addArgument(new Argument("<USER>", "whose"))
    .addOption(serverOption())
    .option("--json", "one JSON object on stdout: for scripts");
  for (const option of passwordOptions()) command.addOption(option);
  return command
    .addHelpText(
      "after",
      `
A replica takes this from its own machine only: name that one with --server, unless it serves at 127.0.0.1. Without any of
the three sources the password is asked for, twice.

Examples:
  chatd admin reset-password alice
  chatd admin reset-password alice --server 10.0.0.1:1538          on that machine
  chatd admin reset-password alice --password-file ./new-password --json
  pass show chat/alice | chatd admin reset-password alice --password-fd 0

Exit status: 0 done, 1 failed (it says why), 64 usage, 69 no server could be reached, 77 not allowed from here.
`,
    )
    .action(resetPassword);
}

async function resetPassword(user: string, flags: Flags): Promise<void> {
  const newPassword = await readNewPassword(user, flags);
  const client = createClient({ ...reaching(flags.server), software }, clientPorts());
  const answer = await answerOf(client, user, newPassword);
  await client.close();
  if (answer.type === "refused") {
    const { code: error, message } = answer;
    if (flags.json === true) print(`${JSON.stringify({ ok: false, user, error, message })}\n`);
    throw new CommandFailure(message, error === "unauthorized" ? exitStatus.notAllowed : exitStatus.failed);
  }
  const { count, copies } = answer;
  if (flags.json === true) return print(`${JSON.stringify({ ok: true, user, sessions: count, copies })}\n`);
  const ended = `${count} ${count === 1 ? "session was" : "sessions were"} ended`;
  print(`the password of ${user} has been reset on ${copies} ${copies === 1 ? "disk" : "disks"}; ${ended}\n`);
}

/** From a flag or the environment, else asked for twice on a terminal, which shows nothing of it. */
async function readNewPassword(user: string, flags: PasswordFlags): Promise<string> {
  refusePasswordArgument(flags);
  const { passwordFile, passwordFd } = flags;
  const isGiven = passwordFile !== undefined || passwordFd !== undefined || "CHATD_PASSWORD" in process.env;
  if (isGiven || !process.stdin.isTTY) return readPassword(flags, process.env);
  const first = await asked(`New password of ${user}`);
  if ((await asked("The same again")) !== first) {
    throw new CommandFailure("the two passwords differ: nothing was changed", exitStatus.failed);
  }
  return first;
}

/** On stderr: stdout is for what the command says. */
async function asked(message: string): Promise<string> {
  const answer = await ask({ message, mask: "", output: process.stderr });
  if (isCancel(answer)) throw new CommandFailure("given up: nothing was changed", exitStatus.failed);
  return answer ?? "";
}

/** Throws `CommandFailure` when no server is found soon, or no answer comes in time. */
async function answerOf(
  client: ChatClient,
  user: string,
  newPassword: string,
): Promise<Answers["resetPassword"] | Refused> {
  const failed = Promise.withResolvers<never>();
  let reached = false;
  let isMissing = false;
  let cancelLook = (): void => {};
  const giveUp = (): void => {
    const { connection } = client;
    if (reached || connection.state !== "offline") return;
    const message = `no server could be reached: ${connection.reason}`;
    failed.reject(new CommandFailure(message, exitStatus.unreachable));
  };
  const look = (): void => {
    const { connection } = client;
    reached ||= connection.state === "connected" || connection.state === "reconnected";
    if (reached || isMissing || connection.state !== "offline") return;
    isMissing = true;
    // A view may be in the making, and then be there in a moment.
    cancelLook = systemClock.setTimer(failoverMs, giveUp);
  };
  const unsubscribe = client.on(look);
  const cancel = systemClock.setTimer(patienceMs, () => {
    const outcome = `whether the password of ${user} was reset is not known: try again`;
    failed.reject(new CommandFailure(`no answer within ${patienceMs / 1000} s; ${outcome}`, exitStatus.failed));
  });
  try {
    const asked = client.request({ type: "resetPassword", user, newPassword });
    return await Promise.race([asked, failed.promise]);
  } finally {
    cancel();
    cancelLook();
    unsubscribe();
  }
}
