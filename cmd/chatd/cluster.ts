/**
 * `chatd cluster`: how the replicas are, and adding and removing them while the cluster runs. Its flags and what it says;
 * the asking is `cluster-asking.ts`'s, the table `cluster-table.ts`'s.
 */
import { Argument, Command, InvalidArgumentError } from "commander";
import { formatAddress, parseAddress } from "../../lib/base/address.ts";
import { limits } from "../../lib/base/limits.ts";
import { formatView } from "../../lib/protocol/ids.ts";
import { ClusterAsking, type Change, type Outcome } from "./cluster-asking.ts";
import { statusAsJson, statusAsText } from "./cluster-table.ts";
import { CommandFailure } from "./failure.ts";
import { print, remark } from "./output.ts";
import { serverOption } from "./servers.ts";
import { wholeNumber } from "./usage.ts";

interface Flags {
  readonly server: readonly string[];
  readonly json?: true;
}

/** How long a change is asked for. */
const patienceMs = 60_000;

export function clusterCommand(): Command {
  return new Command("cluster")
    .description("Look at the replicas; add and remove them while the cluster runs.")
    .addCommand(statusCommand())
    .addCommand(addCommand())
    .addCommand(removeCommand())
    .addHelpText("after", examples);
}

const examples = `
Replicas take these requests from their own machine and from those of other replicas only.

Examples:
  chatd cluster status                                             the three replicas of this machine
  chatd serve --pid 4 --peers 4=10.0.0.4:1538,1=10.0.0.1:1538      the newcomer, on its own machine; then
  chatd cluster add 4=10.0.0.4:1538 --server 10.0.0.1:1538
  chatd cluster remove 3 --server 10.0.0.1:1538

Exit status: 0 done, 1 failed (it says why), 64 usage, 69 no server could be reached, 77 not allowed from here.
`;

function statusCommand(): Command {
  return common("status", "Show every replica as the cluster hears it.")
    .addHelpText("after", "\nExamples:\n  chatd cluster status\n  chatd cluster status --json --server 10.0.0.1:1538\n")
    .action(async (flags: Flags) => {
      const status = await new ClusterAsking(flags.server).status();
      print(`${flags.json === true ? JSON.stringify(statusAsJson(status)) : statusAsText(status, columns())}\n`);
    });
}

function addCommand(): Command {
  return common("add", "Take a replica into the cluster; wait up to 60 s until it is a member.")
    .addArgument(
      new Argument("<PID=HOST:PORT>", "the newcomer, as the others reach it; start it first").argParser(parseNewcomer),
    )
    .addHelpText(
      "after",
      `
The newcomer is started with --peers naming itself and at least one running replica. It learns the log first, while the
others go on; then it counts.

Examples:
  chatd serve --pid 4 --peers 4=10.0.0.4:1538,1=10.0.0.1:1538      on the new machine
  chatd cluster add 4=10.0.0.4:1538 --server 10.0.0.1:1538         on that of a replica
`,
    )
    .action((newcomer: { pid: number; address: string }, flags: Flags) =>
      change({ change: "add", ...newcomer, acceptLoss: false }, flags),
    );
}

function removeCommand(): Command {
  return common("remove", "Take a replica out of the cluster.")
    .addArgument(new Argument("<PID>", "which one").argParser(wholeNumber(1, limits.pidMax)))
    .option("--accept-loss", "although it does not answer: what it alone acknowledged is lost unless it returns")
    .addHelpText(
      "after",
      `
Under the policy available it must be running, so that nothing is lost with it; it serves nobody afterwards and may be
stopped. One that is gone for good is removed with --accept-loss there; should it ever return, what it alone holds is merged.
Under the policy quorum nothing is lost with it, whether it runs or not.

Examples:
  chatd cluster remove 3 --server 10.0.0.1:1538
  chatd cluster remove 3 --accept-loss --server 10.0.0.1:1538      its machine has burnt down
`,
    )
    .action((pid: number, flags: Flags & { readonly acceptLoss?: true }) =>
      change({ change: "remove", pid, address: null, acceptLoss: flags.acceptLoss === true }, flags),
    );
}

const common = (name: string, description: string): Command =>
  new Command(name)
    .description(description)
    .addOption(serverOption())
    .option("--json", "one JSON object on stdout: for scripts");

async function change(wanted: Change, flags: Flags): Promise<void> {
  const asking = new ClusterAsking(flags.server);
  const progress = (line: string): void => remark(`${line}\n`);
  const outcome = await asking.change(wanted, patienceMs, progress);
  if (flags.json === true) print(`${JSON.stringify(asJson(wanted, outcome))}\n`);
  if (!outcome.ok) throw new CommandFailure(outcome.message, outcome.status);
  if (flags.json !== true) print(`${outcome.message}\n`);
}

function asJson({ change: kind, pid, address }: Change, outcome: Outcome): object {
  const what = { change: kind, pid, ...(address === null ? {} : { address }) };
  if (!outcome.ok) return { ok: false, ...what, error: outcome.error, message: outcome.message };
  const { view, carriedOn, message } = outcome;
  return { ok: true, ...what, view: formatView(view), carriedOn, message };
}

function parseNewcomer(text: string): { pid: number; address: string } {
  const match = /^(\d{1,9})=(.+)$/.exec(text);
  const address = parseAddress(match?.[2] ?? "");
  if (match === null || address === null) throw new InvalidArgumentError("It must be PID=HOST:PORT.");
  const pid = wholeNumber(1, limits.pidMax)(match[1] ?? "");
  return { pid, address: formatAddress(address.host.toLowerCase(), address.port) };
}

/** Of the terminal; of what is no terminal, as $COLUMNS says. */
const columns = (): number => process.stdout.columns ?? (Number(process.env["COLUMNS"] ?? "") || 80);
