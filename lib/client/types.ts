/**
 * What users of the client library see: a screen, the JSON mode, a bot, a benchmark. Types only.
 * One `ChatClient` is one session; it finds a replica, moves when that one dies, and resends under the same ids.
 */
import type { Answers, ClientOp, ClientQuery, ErrorCode, FrameOf } from "../protocol/messages.ts";
import type { DistributiveOmit } from "../protocol/state-machine.ts";
import type { Clock, Transport } from "../base/transport.ts";

export interface ClientOptions {
  /** Where to start, `host:port` each; more are learnt from the servers. */
  readonly servers: readonly string[];
  /** Which of `servers` is tried first (modulo their number), so that many clients can be spread. Default 0. */
  readonly startAt?: number;
  /** What the hello calls this program, e.g. `chatd 0.1.0`. */
  readonly software?: string;
  /** What people can do as long as no replica has ever answered: said with the reason of `offline`. */
  readonly remedy?: string;
  /** How long one connection attempt may take before the next address is tried. Default 1,000. */
  readonly connectTimeoutMs?: number;
  /**
   * A connection that says nothing for this long is given up, after a third of it if another replica is ready; pings go
   * out at a third of it. Default 3,000.
   */
  readonly silenceMs?: number;
}

/** Where a fresh session gets the ids of its ops. `next` counts 0 (the registration), 1, 2, 3 … without gaps. */
export interface OpIds {
  /** The session's uuid, canonical text. */
  readonly session: string;
  next(): number;
}

/** What the library reaches the world through. */
export interface ClientPorts {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Cryptographically random bytes: the session's token is made of them. */
  readonly randomBytes: (length: number) => Uint8Array;
  /** Makes the ids of one session; hyperid unless given (a simulation gives its own). */
  readonly ids?: () => OpIds;
}

/**
 * The life of the connection, as a screen shows it. `connecting` at first and at every loss, `offline` when no replica
 * could be used in a whole round over all addresses (it goes on trying), `connected` when the session stands for the
 * first time and again whenever the view or the replica's place in it changes, `reconnected` when it stands again after
 * a loss, `closed` when there is no more to come.
 */
export type ConnectionState =
  | { readonly state: "connecting"; readonly tried: readonly string[] }
  | {
      readonly state: "connected" | "reconnected";
      readonly address: string;
      readonly replica: number;
      readonly primary: number;
      /** `n.pid` of the view. */
      readonly view: string;
      readonly copies: number;
      readonly provisional: boolean;
      /** Milliseconds without a usable connection before this one; 0 at first and when only the view changed. */
      readonly afterMs: number;
    }
  /** `lost`: ops waiting for an answer, which stay kept and are resent: nothing of it is lost for good. */
  | { readonly state: "offline"; readonly reason: string; readonly lost: number }
  /** `unauthorized`: the cluster does not know the session (any more). */
  | { readonly state: "closed"; readonly reason: string; readonly unauthorized?: true };

export type ClientEvent =
  | { readonly type: "connection"; readonly connection: ConnectionState }
  | { readonly type: "message"; readonly message: FrameOf<"message">["message"] }
  | { readonly type: "changed"; readonly what: FrameOf<"changed">["what"]; readonly ids: FrameOf<"changed">["ids"] }
  /** Of somebody with whom this account has talked. After a loss of the connection only `accounts` says who is there. */
  | { readonly type: "presence"; readonly user: string; readonly online: boolean; readonly lastSeenAt: number | null }
  | { readonly type: "notice"; readonly text: string }
  | { readonly type: "logged-out"; readonly reason: string };

/** A refusal is a value, never thrown: the request was answered and nothing was changed. */
export interface Refused {
  readonly type: "refused";
  readonly code: ErrorCode;
  readonly message: string;
}

export type { Answers } from "../protocol/messages.ts";
export type OpRequest = DistributiveOmit<ClientOp, "request" | "seq" | "oldest">;
export type QueryRequest = DistributiveOmit<ClientQuery, "request">;
/** What it takes to go on with a session in another process. The token proves it: nobody else may see it. */
export interface SessionKey {
  /** Of the cluster, 16 bytes. */
  readonly cluster: Uint8Array;
  readonly session: string;
  readonly token: Uint8Array;
}

/** A session to go on with, as {@link SessionKey} names it, and from where. */
export interface ResumedSession extends SessionKey {
  /** No op of it has this seq or a greater one. */
  readonly next: number;
  /** What need not be told any more: an index of the log, and the view of its entry. */
  readonly lastIndex: number;
  readonly lastView: number;
}

/** How an op is asked for that is kept outside this process until its answer is known. One of the two. */
export interface OpOptions {
  /**
   * Called at once, with the op's seq: the op is sent when this resolves, and what was asked for after it waits as well.
   * When it rejects the op is never sent, and the request rejects likewise.
   */
  readonly keep?: (seq: number) => Promise<void>;
  /** The seq that an earlier process of this session gave to the op. It may be done already. */
  readonly seq?: number;
}

export interface ChatClient {
  readonly connection: ConnectionState;
  /** The account this session is logged in to, as the server spells it. */
  readonly user: string | null;
  /** Ops not yet acknowledged. */
  readonly outstanding: number;
  /** Null before the first replica was met. */
  readonly key: SessionKey | null;
  /** The last place in the log that is known here. */
  readonly position: { readonly index: number; readonly view: number };
  on(listener: (event: ClientEvent) => void): () => void;
  /**
   * Sends a request. Ops are kept until acknowledged and resent in order under the same id, for ever; queries are asked
   * again on the next connection. More than the window wait their turn. Resolves with the answer or a refusal; rejects
   * only when the client is closed first, with a `ClientClosedError`: the outcome of an op is then unknown, never
   * "failed", unless the error says that it was never sent. `unavailable` refuses no op that is kept: it is asked for
   * again.
   */
  request<T extends keyof Answers>(
    request: (OpRequest | QueryRequest) & { type: T },
    options?: OpOptions,
  ): Promise<Answers[T] | Refused>;
  /** Says goodbye (the session is detached at once) and closes. Waits for nothing. */
  close(): Promise<void>;
}
