/**
 * The users of a run whose clients are the real library: their number, the streams between them and the replicas, what
 * strikes them, and their judge. Promises have their turn after every event of such a run.
 */
import { drainMicrotasks } from "bun:jsc";
import { limits } from "../base/limits.ts";
import type { Replay } from "./chat-judge.ts";
import type { Oracle } from "./checkers.ts";
import { ClientChaos } from "./client-faults.ts";
import { LibraryClient } from "./library-client.ts";
import type { LibraryProfile } from "./library-profile.ts";
import type { Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import { SessionJudge } from "./session-judge.ts";
import type { Simulator } from "./simulator.ts";
import { Streams } from "./streams.ts";
import type { WorkingClient } from "./workload.ts";

/** More sessions than this are not begun in one run. */
const sessionsMax = 12;
/** After so long a client that is silent is known to be. */
const unheardMs = 5_000;

export interface UsersRun {
  readonly simulator: Simulator;
  readonly oracle: Oracle;
  readonly profile: Profile;
  readonly library: LibraryProfile;
  readonly nodes: readonly { readonly pid: number }[];
  /** All clients of the run; these are added to them. */
  readonly clients: WorkingClient[];
  readonly addressOf: (pid: number) => string;
}

export class Users {
  readonly streams: Streams;
  readonly judge: SessionJudge;
  readonly chaos: ClientChaos;
  private readonly users: LibraryClient[] = [];

  constructor(
    private readonly run: UsersRun,
    private readonly random: Random,
  ) {
    const { simulator, oracle, library, nodes } = run;
    this.streams = new Streams(simulator, random.fork());
    this.judge = new SessionJudge(oracle);
    this.chaos = new ClientChaos(simulator, random.fork(), this.streams, {
      profile: library,
      pids: () => nodes.map(({ pid }) => pid),
      clients: () => this.users,
      replace: (client) => this.replace(client.number),
    });
    simulator.turnEnds = () => {
      drainMicrotasks();
      const { failure } = this.judge;
      if (failure !== null) throw failure;
    };
  }

  /** One more, with an account of its own or, when there are no more, another's. */
  add(account = this.users.length % this.run.library.accounts): LibraryClient {
    const { simulator, oracle, profile, library, nodes, clients, addressOf } = this.run;
    const { opsPerClient: requests, window, thinkMs } = profile;
    const servers = nodes.map(({ pid }) => addressOf(pid));
    const user = new LibraryClient(
      { simulator, streams: this.streams, judge: this.judge, oracle, profile: library, servers },
      this.random.fork(),
      { number: clients.length, account, requests, window, thinkMs },
    );
    this.users.push(user);
    clients.push(user);
    return user;
  }

  /** One that has yet to find out that it is connected no more; what comes for it meanwhile it is told when it is again. */
  get unaware(): LibraryClient | undefined {
    return this.users.find((user) => !user.gone && this.streams.isUnaware(user));
  }

  /**
   * Where the profile says so, one that is the only session of its account loses power, others write to it, and its loss
   * is noticed. False when there was nobody to lose.
   */
  loseOne(): boolean {
    const { simulator, library } = this.run;
    if (!library.endsUnheard) return false;
    const present = this.users.filter(({ gone }) => !gone);
    const isAlone = ({ user }: LibraryClient): boolean => present.filter((each) => each.user === user).length === 1;
    const lost = present.find((user) => user.user !== null && isAlone(user));
    if (lost === undefined || present.length < 2) return false;
    lost.end("power");
    simulator.run(simulator.nowMs + unheardMs);
    for (const user of present) if (user !== lost) user.write(lost.account);
    simulator.run(simulator.nowMs + unheardMs);
    lost.reboot();
    simulator.run(simulator.nowMs + limits.graceSeconds * 1_000 + unheardMs);
    return true;
  }

  /** Everything has come to rest, and `replay` is of the log as it is. */
  judgeEnd(replay: Replay): void {
    const stays = this.users.filter(({ gone }) => !gone).map(({ session }) => session);
    this.judge.judge(replay, new Set(stays));
  }

  /** Somebody goes on with the account of a client that has ended. */
  private replace(number: number): void {
    const ended = this.users.find((each) => each.number === number);
    if (ended !== undefined && this.users.length < sessionsMax) this.add(ended.account).start();
  }
}
