/**
 * `chatd completion SHELL`, which prints a script for a shell, and the hidden `chatd complete`, which that script runs at
 * each press of the key: what to offer is `completion.ts`'s, the scripts are `completion-scripts.ts`'s.
 */
import { Argument, Command } from "commander";
import { knownNameFault } from "../../lib/chat/names.ts";
import { complete, type Sources } from "./completion.ts";
import { completionScript, shells, type Shell } from "./completion-scripts.ts";
import { accountsAt, replicasAt } from "./inquiring.ts";
import { print } from "./output.ts";

/** Somebody waits for the key to do something: what a cluster does not say by then is not offered. */
const patienceMs = 500;

export function completionCommand(): Command {
  return new Command("completion")
    .description("Print a script that completes chatd's commands, flags and names in a shell.")
    .addArgument(new Argument("<SHELL>", "which one").choices(shells))
    .addHelpText("after", examples)
    .action((shell: Shell) => {
      print(completionScript(shell, process.execPath));
    });
}

const examples = `
Names of accounts, and pids of replicas, are asked for where the line says (--server, CHATD_SERVER, or this machine).

Put it into the shell's start file:
  source <(chatd completion bash)         ~/.bashrc
  source <(chatd completion zsh)          ~/.zshrc, after compinit
  chatd completion fish | source          ~/.config/fish/config.fish
`;

/**
 * One line a candidate: its value, and after a tab what it means. A last line `:files` says that names of files would do,
 * too. Says nothing else: whoever presses a key wants no errors.
 */
export function completeCommand(root: Command): Command {
  return new Command("complete")
    .description("What may come next, for the script of chatd completion.")
    .argument("[WORDS...]", "after --: the words of the line up to the cursor")
    .action(async (words: string[]) => {
      const { candidates, files } = await complete(root, words, process.env, sources);
      const lines = candidates.map(({ value, description }) =>
        description === "" ? value : `${value}\t${description}`,
      );
      if (files) lines.push(":files");
      print(lines.map((line) => `${line}\n`).join(""));
    });
}

const sources: Sources = {
  async accounts(servers, prefix) {
    // What no name contains would be a wildcard.
    if (/[^\p{L}\p{M}\p{Nd}._~-]/u.test(prefix)) return [];
    const names = await firstAnswer(servers, (address) => accountsAt(address, prefix, patienceMs));
    // They end up on a shell's command line: whatever answers there, what is no name does not.
    return names.filter((name) => knownNameFault(name) === null);
  },
  replicas: (servers) => firstAnswer(servers, (address) => replicasAt(address, patienceMs)),
};

/** Of all servers at once; nothing when none has answered in time. */
async function firstAnswer<T>(servers: readonly string[], ask: (address: string) => Promise<T[]>): Promise<T[]> {
  const expiry = Promise.withResolvers<T[]>();
  const timer = setTimeout(() => expiry.resolve([]), patienceMs);
  try {
    return await Promise.race([Promise.any(servers.map(ask)), expiry.promise]);
  } catch {
    return [];
  } finally {
    clearTimeout(timer);
  }
}
