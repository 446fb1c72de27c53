/** A client over a scripted cluster, for the tests of this folder. */
import { expect } from "bun:test";
import type { FrameOf } from "../protocol/messages.ts";
import { ByteNetwork } from "../sim/byte-network.ts";
import { ScriptedCluster, type Peer } from "../sim/scripted-cluster.ts";
import { createClient } from "./client.ts";
import type { Answers, ChatClient, ClientEvent, ClientOptions, ConnectionState, Refused } from "./types.ts";

/** By pid − 1. */
export const addresses = ["a:1", "b:2", "c:3"];
export const password = "correct horse";

/** Those of the test that runs now. */
export let network: ByteNetwork;
export let cluster: ScriptedCluster;

/** A new network with three replicas; before each test. */
export async function renew(): Promise<void> {
  network = new ByteNetwork();
  cluster = await ScriptedCluster.start(network, addresses);
}

/** A client, everything it told, and the answers in the order in which they came. */
export interface Subject {
  readonly client: ChatClient;
  readonly events: ClientEvent[];
  readonly states: ConnectionState[];
}

export function begin(options: Partial<ClientOptions> = {}): Subject {
  const randomBytes = (length: number) => new Uint8Array(length).fill(9);
  const client = createClient(
    { servers: addresses, ...options },
    { transport: network.transport, clock: network, randomBytes },
  );
  const events: ClientEvent[] = [];
  const states: ConnectionState[] = [];
  client.on((event) => {
    events.push(event);
    if (event.type === "connection") states.push(event.connection);
  });
  return { client, events, states };
}

/** Lets time pass until the promise is settled. */
export async function settled<T>(promise: Promise<T>, withinMs = 20_000): Promise<T> {
  let over = false;
  const mark = () => {
    over = true;
  };
  promise.then(mark, mark);
  expect(await network.run(withinMs, () => over)).toBe(true);
  return promise;
}

export const sent = (answer: Answers["send"] | Refused): Answers["send"] => {
  if (answer.type !== "sent") throw new Error(`expected an acknowledgement, got ${answer.code}: ${answer.message}`);
  return answer;
};

export const isOpen =
  ({ client }: Subject) =>
  () =>
    client.connection.state === "connected" || client.connection.state === "reconnected";

export async function connected(options: Partial<ClientOptions> = {}): Promise<Subject> {
  const subject = begin(options);
  expect(await network.run(10_000, isOpen(subject))).toBe(true);
  return subject;
}

export async function loggedIn(user: string, options: Partial<ClientOptions> = {}): Promise<Subject> {
  const subject = await connected(options);
  await settled(subject.client.request({ type: "createAccount", user, password }));
  await settled(subject.client.request({ type: "login", user, password }));
  return subject;
}

export const replicaOf = ({ client }: Subject) => ("replica" in client.connection ? client.connection.replica : null);
export const opsReceived = (peer: Peer) => peer.received.filter((frame): frame is FrameOf<"send"> => "seq" in frame);
export const sendsInLog = () => cluster.log.filter((entry) => entry.endsWith(" send"));
