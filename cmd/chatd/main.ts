#!/usr/bin/env bun
/**
 * `chatd`: one executable, its commands, and how each of them ends. What they do is in a file each.
 */
import { Command, CommanderError } from "commander";
import { adminCommand } from "./admin.ts";
import { chatCommand } from "./chat.ts";
import { clusterCommand } from "./cluster.ts";
import { completeCommand, completionCommand } from "./completion-command.ts";
import { CommandFailure, complain, exitStatus } from "./failure.ts";
import { inspectLogCommand } from "./inspect-log.ts";
import { serveCommand } from "./serve.ts";
import { makeStrict, missingCommand, statusOf } from "./usage.ts";
import { version } from "./version.ts";

const examples = `
Examples:
  chatd serve --pid 1                     one of three replicas on this machine; start also --pid 2 and --pid 3
  chatd chat                              the chat, in this terminal
  chatd chat --json                       the same for scripts
  chatd cluster status
  chatd admin reset-password alice
  chatd inspect-log ~/.local/state/chatd/1

Exit status: 0 done, 1 failed at run time, 64 usage, 69 no server could be reached, 73 cannot use the data directory,
74 disk error, 77 not allowed.
`;

function program(): Command {
  const root = new Command("chatd")
    .description("A chat that stays up when machines die.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .addCommand(serveCommand())
    .addCommand(chatCommand())
    .addCommand(clusterCommand())
    .addCommand(adminCommand())
    .addCommand(inspectLogCommand())
    .addCommand(completionCommand())
    .addHelpText("after", examples);
  root.addCommand(completeCommand(root), { hidden: true });
  return makeStrict(root);
}

async function main(words: readonly string[]): Promise<void> {
  const root = program();
  const missing = missingCommand(root, words);
  if (missing !== null) {
    complain(missing);
    process.exitCode = exitStatus.usage;
    return;
  }
  try {
    await root.parseAsync([...words], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = statusOf(error);
    } else if (error instanceof CommandFailure) {
      complain(error.message);
      process.exit(error.status);
    } else {
      throw error;
    }
  }
}

await main(process.argv.slice(2));
