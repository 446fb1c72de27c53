/** The status of a cluster as a table for people, as blocks where the terminal is narrow, and as JSON. Pure. */
import { formatView } from "../../lib/protocol/ids.ts";
import type { ReplicaReport } from "../../lib/protocol/messages.ts";
import type { ClusterStatus } from "./cluster-asking.ts";

const heads = ["PID", "ADDRESS", "ROLE", "VIEW", "INDEX", "COMMIT", "LAG", "CONNS", "VERSION"] as const;
/** Numbers end in one line. */
const isRight = [true, false, false, false, true, true, true, true, false] as const;

export function statusAsText(status: ClusterStatus, columns: number): string {
  const rows = status.replicas.map(cellsOf);
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => (row[at] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => (isRight[at] === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  const table = [heads, ...rows].map(line);
  const fits = table.every((each) => each.length <= columns);
  return [...headOf(status), "", ...(fits ? table : rows.flatMap(blockOf))].join("\n");
}

/** What is not known of a replica that is not heard is null. */
export function statusAsJson(status: ClusterStatus): object {
  const { cluster, policy, view, primary, provisional, copies, replica } = status;
  return {
    ...{ cluster: cluster.toHex(), policy, view: formatView(view), primary, provisional, copies, answeredBy: replica },
    replicas: status.replicas.map((each) => {
      const { pid, address, configured, member, role } = each;
      const { index, commit, lag, connections } = each;
      const isKnown = role !== "unreachable";
      const place = isKnown ? { view: formatView(each.view), index, commit, lag, connections } : nothing;
      return { pid, address, configured, member, role, ...place, version: isKnown ? versionOf(each) : null };
    }),
  };
}

const nothing = { view: null, index: null, commit: null, lag: null, connections: null };

function headOf({ policy, view, primary, copies, provisional, ready, replica, replicas }: ClusterStatus): string[] {
  if (!ready) return [`replica ${replica} answers but serves no view; what it hears:`];
  const lines = [`view ${formatView(view)}, primary ${primary}, policy ${policy}`, `copies of each message: ${copies}`];
  if (provisional) lines.push("provisional: a replica that may hold more has not been heard since all stopped");
  const outside = replicas.filter(({ configured }) => !configured).map(({ pid }) => pid);
  if (outside.length > 0) lines.push(`not in the config: replica ${outside.join(", ")} (chatd cluster add)`);
  return lines;
}

function cellsOf(report: ReplicaReport): string[] {
  const { pid, address, role, view, index, commit, lag, connections } = report;
  if (role === "unreachable") return [String(pid), address, role, "-", "-", "-", "-", "-", "-"];
  const numbers = [index, commit, lag, connections].map(String);
  return [String(pid), address, role, formatView(view), ...numbers, versionOf(report)];
}

function blockOf(cells: readonly string[]): string[] {
  const [
    pid = "",
    address = "",
    role = "",
    view = "",
    index = "",
    commit = "",
    lag = "",
    connections = "",
    version = "",
  ] = cells;
  const head = [`replica ${pid}  ${role}`, `  ${address}`];
  if (role === "unreachable") return head;
  return [
    ...head,
    `  view ${view}  version ${version}`,
    `  index ${index}  commit ${commit}`,
    `  lag ${lag}  connections ${connections}`,
  ];
}

const versionOf = ({ software }: ReplicaReport): string => software.replace(/^chatd /, "") || "-";
