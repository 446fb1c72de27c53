/**
 * What a log that has just been opened says about how this replica was started: damage that nobody can repair, another
 * policy, another cluster. Each is refused in one line before anything is written.
 */
import { DataDirectoryError, type DataDirectory } from "../../lib/io/data-directory.ts";
import { DiskError } from "../../lib/log/disk.ts";
import type { Wal } from "../../lib/log/wal.ts";
import { decodeEntry } from "../../lib/protocol/codec.ts";
import type { Configured, Policy } from "../../lib/protocol/messages.ts";
import { decodeRecord } from "../../lib/protocol/record.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import type { Journal } from "./journal.ts";
import type { ServeSettings } from "./serve-flags.ts";

/** Throws `CommandFailure`, `DiskError` or `DataDirectoryError`. `founding`: the cluster's id as `--peers` gives it. */
export function refuseUnfit(log: Wal, directory: DataDirectory, founding: Uint8Array, settings: ServeSettings): void {
  const view = lastView(log);
  refuseDamageAlone(log, Math.max(settings.peers.length, view?.config.length ?? 0));
  if (view !== null) refuseOtherPolicy(view.policy, settings.policy);
  refuseOtherCluster(view?.config ?? [], directory, founding, settings);
}

/** What opening the log has found, as far as anybody wants to know. */
export function describeLog({ report }: Wal, journal: Journal): void {
  journal.write("debug", `the log has ${report.entries} entries in ${report.segments} segments`);
  if (report.torn !== null) {
    const { file, offset, bytes, keptIn } = report.torn;
    journal.write(
      "warn",
      `the last write did not finish: ${bytes} bytes of ${file} at ${offset} were kept in ${keptIn}`,
    );
  }
  for (const { file, offset, index, fault } of report.damage) {
    journal.write(
      "error",
      `${file} is damaged at ${offset} (${fault}), from index ${index} on: to be repaired from a peer`,
    );
  }
}

/** The last VIEW entry of the log, as far as it can be read; null when there is none. */
function lastView(log: Wal): { readonly policy: Policy; readonly config: readonly Configured[] } | null {
  const { beginning, views } = log.recovered;
  const last = views.at(-1);
  const at = last === undefined ? -1 : views.indexOf(last);
  const known = beginning?.attempts.at(-1);
  if (at < 0 || last === known?.view) {
    return beginning === null || known === undefined ? null : { policy: beginning.policy, config: known.config };
  }
  const [bytes] = log.read((beginning?.position.index ?? 0) + at + 1, 1);
  const record = bytes === undefined ? "end" : decodeRecord(bytes, 0);
  if (typeof record === "string") return null;
  const entry = decodeEntry(record.kind, record.payload);
  return entry.type === "view" ? entry : null;
}

/** With nobody to repair it from, a damaged log is not worked on: what it still holds must not be overwritten. */
function refuseDamageAlone({ report }: Wal, replicas: number): void {
  const [damage] = report.damage;
  if (damage === undefined || replicas > 1) return;
  throw new DiskError(
    `${damage.file} is damaged at ${damage.offset} (${damage.fault}), from index ${damage.index} on, and this cluster has ` +
      `no other replica to repair it from: restore the data directory from a copy, or look at it with chatd inspect-log`,
  );
}

/** The policy is the cluster's, from its founding on: it stands in every VIEW entry. */
function refuseOtherPolicy(theirs: Policy, policy: Policy): void {
  if (theirs === policy) return;
  throw new CommandFailure(
    `--policy ${policy}: this cluster was founded with the policy ${theirs}, which stays; start with --policy ${theirs}`,
    exitStatus.usage,
  );
}

/**
 * Once a cluster has grown, `--peers` need not be those that founded it; but a directory of which they name no replica is
 * most likely that of another cluster.
 */
function refuseOtherCluster(
  config: readonly Configured[],
  directory: DataDirectory,
  founding: Uint8Array,
  { peers }: ServeSettings,
): void {
  if (directory.cluster.toHex() === founding.toHex() || (directory.joined && config.length === 0)) return;
  const isNamed = ({ pid, address }: Configured): boolean =>
    peers.some((peer) => peer.pid === pid && peer.address === address);
  if (config.some(isNamed)) return;
  const known = config.map(({ pid, address }) => `${pid}=${address}`).join(",");
  throw new DataDirectoryError(
    `the data directory ${directory.path} is of cluster ${directory.cluster.toHex()}` +
      `${known === "" ? "" : ` (${known})`}, but this replica is of cluster ${founding.toHex()}: ` +
      `start with the --peers that founded it or name one of its replicas, or name another directory with --data`,
  );
}
