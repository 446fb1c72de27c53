/**
 * `chatd serve`: puts one replica on the real network, disk and clock, and decides how the process ends. What a replica
 * is and does is `lib/server`'s.
 */
import { Database } from "bun:sqlite";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { formatAddress } from "../../lib/base/address.ts";
import type { Listener, Transport } from "../../lib/base/transport.ts";
import { openChat, snapshotRefusal, StateStorageError } from "../../lib/chat/chat.ts";
import { openStateFiles, prepareStateFiles, type OpenStateFiles } from "../../lib/io/state-files.ts";
import { nextTurn, systemClock } from "../../lib/io/clock.ts";
import { openDataDirectory, type DataDirectory } from "../../lib/io/data-directory.ts";
import { openDisk } from "../../lib/io/disk.ts";
import { openFilesMax } from "../../lib/io/open-files.ts";
import { tcpTransport } from "../../lib/io/tcp.ts";
import type { DiskError } from "../../lib/log/disk.ts";
import { openLog } from "../../lib/log/wal.ts";
import { formatView } from "../../lib/protocol/ids.ts";
import type { Configured } from "../../lib/protocol/messages.ts";
import type { Standing } from "../../lib/replication/events.ts";
import { clusterIdOf } from "../../lib/server/identity.ts";
import { ReplicaNode, type NodePorts } from "../../lib/server/node.ts";
import { CommandFailure, exitStatus } from "./failure.ts";
import { nextIncarnation, saveIncarnation } from "./incarnation.ts";
import { findCluster, refuseOtherAddress, type LiveCluster } from "./joining.ts";
import { Journal } from "./journal.ts";
import { describeLog, refuseUnfit } from "./opened-log.ts";
import { explain, statusOf } from "./serve-failure.ts";
import { QueryThread } from "./query-thread.ts";
import { checkFlags, defaultPeers, type ServeFlags, type ServeSettings } from "./serve-flags.ts";
import { wholeNumber } from "./usage.ts";
import { software } from "./version.ts";

/** A second signal this long after the first one is impatience, not the same signal by another way. */
const impatientMs = 5000;
/** How often a replica that waits to found a cluster, or that nobody finds, asks the others. */
const lookEveryMs = 1000;

export function serveCommand(): Command {
  return new Command("serve")
    .description("Run one replica.")
    .addOption(
      new Option("--pid <PID>", "which of the peers this is; required").env("CHATD_PID").argParser(wholeNumber(1, 255)),
    )
    .addOption(
      new Option("--peers <LIST>", "every replica's address: PID=HOST:PORT,…; one port serves clients and replicas")
        .env("CHATD_PEERS")
        .default(defaultPeers),
    )
    .option("--listen <HOST:PORT>", "where to bind, if not at its own entry in --peers")
    .addOption(
      new Option("--data <DIR>", "log, state and lock (default: $XDG_STATE_HOME/chatd/<pid>)").env("CHATD_DATA"),
    )
    .addOption(
      new Option("--policy <POLICY>", "who may go on when replicas are missing: any survivor, or a majority only")
        .choices(["available", "quorum"])
        .default("available"),
    )
    .option("--heartbeat-ms <MS>", "how often replicas tell each other that they live", wholeNumber(10, 60_000), 100)
    .option(
      "--timeout-ms <MS>",
      "silence after which a replica, or a disk, is suspected",
      wholeNumber(50, 600_000),
      1000,
    )
    .option(
      "--recovery-wait-ms <MS>",
      "after a total stop: how long to wait for the missing before going on without them",
      wholeNumber(0, 86_400_000),
      10_000,
    )
    .option("--insecure", "connections beyond loopback are in the clear, and that is known: do not warn")
    .addOption(
      new Option("--log-level <LEVEL>", "what to say on stderr")
        .choices(["error", "warn", "info", "debug"])
        .default("info"),
    )
    .addOption(new Option("--log-format <FORMAT>", "how to say it").choices(["text", "json"]).default("text"))
    .addHelpText("after", examples)
    .action((flags: ServeFlags) => serve(checkFlags(flags, process.env)));
}

const examples = `
When it is a member of a formed view it prints one line on stdout, and everything else on stderr:
  ready pid=1 view=3.1 role=primary listen=127.0.0.1:1538

Examples:
  chatd serve --pid 1                           three replicas on one machine: start with --pid 1, 2 and 3
  chatd serve --pid 1 --peers 1=10.0.0.1:1538,2=10.0.0.2:1538,3=10.0.0.3:1538
  chatd serve --pid 1 --peers 1=127.0.0.1:1538  a cluster of one

SIGTERM, SIGINT and SIGHUP end it in good order: in-flight messages are answered, the others take over at once.

Exit status: 0 stopped, 1 failed (a port in use), 64 usage, 73 cannot use the data directory, 74 disk error.
`;

async function serve(settings: ServeSettings): Promise<void> {
  const journal = new Journal(settings.pid, settings.logLevel, settings.logFormat);
  const end = new Ending(journal, settings);
  end.watchErrors();
  // From the first moment on: a signal that comes while it starts stops it in good order as soon as it has started.
  let starting: Promise<Running> | null = null;
  let directory: DataDirectory | null = null;
  end.stopOnSignals(async () => {
    await (await starting)?.stop();
    directory?.close();
  });
  try {
    directory = openDataDirectory(settings.data, { cluster: clusterIdOf(settings.peers, sha256), pid: settings.pid });
    starting = startFirst(settings, directory, journal, end);
    const running = await starting;
    if (running.mayJoin) {
      const made = directory;
      watchForCluster(settings, made, journal, running, (live) => {
        starting = running.stop().then(() => startJoined(settings, live, made, journal, end));
        return starting;
      }).catch((error: unknown) => end.fail(error));
    } else if (running.hasMoved) {
      watchAddress(settings, running).catch((error: unknown) => end.fail(error));
    }
  } catch (error) {
    throw explain(error, settings);
  }
}

interface Running {
  /** It has an empty log and waits to found a cluster: those that it waits for may turn out to have one. */
  readonly mayJoin: boolean;
  /**
   * The cluster's config has another address for it than `--peers`: where that is no other name of the same place,
   * nobody finds it.
   */
  readonly hasMoved: boolean;
  /** Some other replica has found it. */
  readonly isFound: boolean;
  stop(): Promise<void>;
}

/** A replica with an empty disk asks the others first whether they have a cluster already. */
async function startFirst(
  settings: ServeSettings,
  directory: DataDirectory,
  journal: Journal,
  end: Ending,
): Promise<Running> {
  const { listen } = settings;
  if (settings.warnsOfPlain) {
    const where = formatAddress(listen.host, listen.port);
    journal.write("warn", `connections to ${where} are not encrypted: for trusted networks only (--insecure says so)`);
  }
  const live = directory.isNew && !directory.joined ? await findCluster(settings) : null;
  const joins = live !== null && live.id.toHex() !== directory.cluster.toHex();
  return joins ? startJoined(settings, live, directory, journal, end) : start(settings, directory, journal, end);
}

/** Makes this the directory of a newcomer to that cluster. */
function startJoined(
  settings: ServeSettings,
  live: LiveCluster,
  directory: DataDirectory,
  journal: Journal,
  end: Ending,
): Promise<Running> {
  const { pid, peers } = settings;
  const others = live.replicas.filter((replica) => !peers.some((peer) => peer.pid === replica.pid));
  const known = live.replicas.map((replica) => replica.pid).join(", ");
  const own = peers.find((peer) => peer.pid === pid)?.address ?? "";
  const remedy = live.replicas.some((replica) => replica.pid === pid) ? "" : `: chatd cluster add ${pid}=${own}`;
  journal.write("info", `joining the cluster of replicas ${known}${remedy}`);
  directory.adopt(live.id);
  return start({ ...settings, peers: [...peers, ...others] }, directory, journal, end);
}

/** As long as nothing has been founded: looks whether the others have meanwhile come up with a cluster. */
async function watchForCluster(
  settings: ServeSettings,
  directory: DataDirectory,
  journal: Journal,
  running: Running,
  join: (live: LiveCluster) => Promise<unknown>,
): Promise<void> {
  while (running.mayJoin) {
    await Bun.sleep(lookEveryMs);
    const live = running.mayJoin ? await findCluster(settings) : null;
    if (live === null || !running.mayJoin || live.id.toHex() === directory.cluster.toHex()) continue;
    journal.write("info", "the replicas that were waited for have a cluster already");
    await join(live);
    return;
  }
}

/** One that has moved stops before it goes on alone, if the others serve and do not find it. */
async function watchAddress(settings: ServeSettings, running: Running): Promise<void> {
  while (running.hasMoved) {
    await Bun.sleep(lookEveryMs);
    if (!running.isFound) await refuseOtherAddress(settings);
  }
}

async function start(
  settings: ServeSettings,
  directory: DataDirectory,
  journal: Journal,
  end: Ending,
): Promise<Running> {
  const { pid, peers, listen, policy, heartbeatMs, timeoutMs, recoveryWaitMs } = settings;
  const { cluster } = directory;
  const founding = clusterIdOf(settings.peers, sha256);
  const founds = !directory.joined && cluster.toHex() === founding.toHex();
  const incarnationFile = join(directory.path, "incarnation");
  const incarnation = nextIncarnation(incarnationFile, systemClock.wallMs());
  const filesMax = openFilesMax();
  const clientsMax = lessReserve(acceptedMaxOf(filesMax), reservedConnections);
  let files: OpenStateFiles | null = null;
  let isDamaged = false;
  prepareState(directory.statePath);
  const queries = new QueryThread(
    (message) => journal.write("warn", message),
    (error) => end.fail(error),
  );
  const ports: NodePorts = {
    transport: transportFor(journal, filesMax),
    clock: systemClock,
    schedule: nextTurn,
    sha256,
    openLog: (persisted) => {
      const failed = (error: DiskError): void => end.fail(error);
      const identity = { cluster, replica: directory.replica };
      const log = openLog(
        openDisk(directory.logPath),
        identity,
        { persisted, failed },
        { established: !directory.isNew },
      );
      directory.established();
      saveIncarnation(incarnationFile, incarnation);
      describeLog(log, journal);
      isDamaged = log.damaged;
      refuseUnfit(log, directory, founding, settings);
      return log;
    },
    openState: () => {
      const state = openState(directory.statePath, journal);
      queries.read(directory.statePath);
      return state;
    },
    answerElsewhere: (query, account) => queries.answer(query, account),
    stateFiles: (hooks) => {
      const path = directory.statePath;
      files = openStateFiles({
        ...hooks,
        path,
        openState: () => {
          const state = openState(path, journal);
          queries.read(path);
          return state;
        },
        refusal: snapshotRefusal,
        openNothing: () => {
          queries.read(null);
          return openChat(new Database(":memory:"));
        },
        failed: (error) => end.fail(new StateStorageError(error.message, { cause: error })),
        log: (level, message) => journal.write(level, message),
      });
      return files;
    },
    log: (level, message) => journal.write(level, message),
    ready: (standing, listener) => printReady(pid, standing, listener),
    fatal: (message) => end.fail(new CommandFailure(message, exitStatus.failed)),
  };
  const self = { pid, uuid: directory.replica, incarnation };
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const timing = { heartbeatMs, timeoutMs, recoveryWaitMs };
  const node = await ReplicaNode.start(
    { self, peers, founds, listen, cluster, policy, ...timing, software, clientsMax, seed },
    ports,
  );
  // To read a long log and a large state takes memory that is not needed any more: given back now, not some time later.
  Bun.gc(true);
  let stopped = false;
  return {
    get mayJoin() {
      // A log that cannot be read from its first entry on is not empty: it would be deleted.
      return founds && peers.length > 1 && !stopped && !isDamaged && node.standing.lastIndex === 0;
    },
    get hasMoved() {
      const ownIn = (replicas: readonly Configured[]) => replicas.find((replica) => replica.pid === pid)?.address;
      const known = ownIn(node.standing.config);
      return known !== undefined && known !== ownIn(peers) && !stopped;
    },
    get isFound() {
      return node.isFound;
    },
    stop: async () => {
      stopped = true;
      await node.stop();
      await queries.stop();
      await files?.stop();
    },
  };
}

const sha256 = (bytes: Uint8Array): Uint8Array => new Bun.CryptoHasher("sha256").update(bytes).digest();

/** Files that are left for the log, the state and connections to other replicas. */
const reservedFiles = 128;
/** Connections that are left for other replicas, and for who has not said yet what it is. */
const reservedConnections = 32;

/** Connections that may be open at once. */
const acceptedMaxOf = (filesMax: number): number => lessReserve(filesMax, reservedFiles);

/** Where there are few, half of them are left. */
const lessReserve = (count: number, reserve: number): number => Math.max(Math.floor(count / 2), count - reserve);

function transportFor(journal: Journal, filesMax: number): Transport {
  const acceptedMax = acceptedMaxOf(filesMax);
  const reason = `this process may have no more than ${filesMax} files open (ulimit -n, LimitNOFILE=)`;
  const full = (): void =>
    journal.write("warn", `${acceptedMax} connections are open, further ones are closed: ${reason}`);
  return tcpTransport({ acceptedMax, full });
}

function prepareState(path: string): void {
  try {
    prepareStateFiles(path);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new StateStorageError(`cannot prepare the state ${path}: ${message}`, { cause: error });
  }
}

function openState(path: string, journal: Journal) {
  const database = new Database(path, { create: true, readwrite: true, strict: true });
  // Nobody else writes; but who opens it at the same moment may hold a lock for as long as that takes.
  database.run("PRAGMA busy_timeout = 5000");
  const migrating = (from: number, to: number): void =>
    journal.write("info", `bringing the state from version ${from} to version ${to}: older builds cannot read it then`);
  return openChat(database, { checkpointPages: 0, migrating });
}

function printReady(pid: number, { view, role }: Standing, { host, port }: Listener): void {
  try {
    writeSync(1, `ready pid=${pid} view=${formatView(view)} role=${role} listen=${formatAddress(host, port)}\n`);
  } catch {
    // Nobody reads it: that is no reason not to serve.
  }
}

/** How the process ends: in good order on signals, at once with a reason when it must not go on. */
class Ending {
  readonly #journal: Journal;
  readonly #settings: ServeSettings;
  #failing = false;

  constructor(journal: Journal, settings: ServeSettings) {
    this.#journal = journal;
    this.#settings = settings;
  }

  /** Errors that reach nobody else: a broken invariant, a disk that fails in the middle of something. */
  watchErrors(): void {
    process.on("uncaughtException", (error) => this.fail(error));
    process.on("unhandledRejection", (error) => this.fail(error));
  }

  /** Says why and ends the process. Nothing is flushed or acknowledged any more. */
  fail(error: unknown): void {
    if (this.#failing) return;
    this.#failing = true;
    const explained = explain(error, this.#settings);
    const message = explained instanceof Error ? explained.message : String(explained);
    this.#journal.lastWords(`this replica stops: ${message}`);
    if (error instanceof Error && error.stack !== undefined) this.#journal.lastWords(error.stack, "debug");
    process.exit(statusOf(error));
  }

  /** Signals may come twice, to the group and through a parent. */
  stopOnSignals(stop: () => Promise<void>): void {
    let firstMs: number | null = null;
    const told = (signal: string): void => {
      const nowMs = systemClock.monotonicMs();
      if (firstMs !== null) {
        if (nowMs - firstMs > impatientMs) process.exit(exitStatus.failed);
        return;
      }
      firstMs = nowMs;
      this.#journal.write("info", `${signal}: stopping`);
      stop().then(
        () => process.exit(exitStatus.done),
        (error: unknown) => this.fail(error),
      );
    };
    process.on("SIGTERM", () => told("SIGTERM"));
    process.on("SIGINT", () => told("SIGINT"));
    // Under nohup it stays ignored.
    if (!isIgnored(1)) process.on("SIGHUP", () => told("SIGHUP"));
  }
}

/** Whether a signal was being ignored when this process started (proc(5), SigIgn). */
function isIgnored(signal: number): boolean {
  try {
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
    return ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n;
  } catch {
    return false;
  }
}
