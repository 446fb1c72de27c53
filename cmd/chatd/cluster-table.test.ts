/** The status of a cluster as people and scripts see it, at 80 columns and at 40. */
import { expect, test } from "bun:test";
import type { ClusterStatus } from "./cluster-asking.ts";
import { statusAsJson, statusAsText } from "./cluster-table.ts";

const alive = { configured: true, member: true, view: 3 * 256 + 1, index: 1234567, commit: 1234567, lag: 0 };
const silent = { configured: true, member: false, view: 0, index: 0, commit: 0, lag: 0, connections: 0, software: "" };
const status: ClusterStatus = {
  type: "clusterReport",
  request: 1,
  cluster: new Uint8Array(16).fill(10),
  ...{ replica: 1, ready: true, primary: 1, view: 3 * 256 + 1, policy: "available", provisional: false, copies: 2 },
  replicas: [
    { pid: 1, address: "10.0.0.1:1538", role: "primary", ...alive, connections: 12, software: "chatd 0.1.0" },
    { pid: 2, address: "10.0.0.2:1538", role: "backup", ...alive, lag: 3, connections: 0, software: "chatd 0.2.0" },
    { pid: 3, address: "10.0.0.3:1538", role: "unreachable", ...silent },
  ],
};

test("a table where it fits", () => {
  expect(statusAsText(status, 80)).toBe(
    `view 3.1, primary 1, policy available
copies of each message: 2

PID  ADDRESS        ROLE         VIEW    INDEX   COMMIT  LAG  CONNS  VERSION
  1  10.0.0.1:1538  primary      3.1   1234567  1234567    0     12  0.1.0
  2  10.0.0.2:1538  backup       3.1   1234567  1234567    3      0  0.2.0
  3  10.0.0.3:1538  unreachable  -           -        -    -      -  -`,
  );
});

test("a block for each replica where it does not", () => {
  const text = statusAsText({ ...status, provisional: true }, 40);
  expect(text).toContain(`replica 2  backup
  10.0.0.2:1538
  view 3.1  version 0.2.0
  index 1234567  commit 1234567
  lag 3  connections 0
replica 3  unreachable
  10.0.0.3:1538`);
  expect(text).toContain("provisional");
  for (const line of text.split("\n").slice(4)) expect(line.length).toBeLessThanOrEqual(40);
});

test("who is outside the config is named, and who answers without serving says so", () => {
  const replicas = status.replicas.map((each) => ({ ...each, configured: each.pid !== 2 }));
  expect(statusAsText({ ...status, replicas }, 80)).toContain("not in the config: replica 2");
  expect(statusAsText({ ...status, ready: false }, 80)).toStartWith("replica 1 answers but serves no view");
});

test("JSON in which nothing is told of a replica that is not heard", () => {
  const unknown = { view: null, index: null, commit: null, lag: null, connections: null, version: null };
  expect(JSON.parse(JSON.stringify(statusAsJson(status)))).toMatchObject({
    ...{ cluster: "0a".repeat(16), policy: "available", view: "3.1", primary: 1, copies: 2, answeredBy: 1 },
    replicas: [
      { pid: 1, role: "primary", index: 1234567, connections: 12, version: "0.1.0" },
      { pid: 2, role: "backup", lag: 3 },
      { pid: 3, role: "unreachable", ...unknown },
    ],
  });
});
