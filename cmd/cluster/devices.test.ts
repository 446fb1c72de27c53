/**
 * Two devices of one account and one of another, each on a replica of its own: what one device does, the other shows at
 * once; also when the primary is killed in the midst of it.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { withScene, type Scene } from "./end-to-end.fixture.ts";
import type { JsonClient } from "./json-client.ts";

// Real processes: the 5 s that Bun gives a test are for less.
setDefaultTimeout(120_000);

interface Devices {
  readonly scene: Scene;
  /** Of alice, at replicas 1 and 2. */
  readonly laptop: JsonClient;
  readonly phone: JsonClient;
  /** At replica 3. */
  readonly bob: JsonClient;
}

async function withDevices(play: (devices: Devices) => Promise<void>): Promise<void> {
  await withScene(async (scene) => {
    await scene.cluster.start();
    const laptop = await scene.signedIn(1, "alice");
    const phone = await scene.signedIn(2, "alice");
    const bob = await scene.signedIn(3, "bob");
    expect([laptop.replica, phone.replica, bob.replica]).toEqual([1, 2, 3]);
    await play({ scene, laptop, phone, bob });
    const strays = [laptop, phone, bob].flatMap((client) => client.strays);
    expect(strays).toEqual([]);
  });
}

/** Resolves when `client` was told that another device has changed this; each telling counts once. */
async function told(client: JsonClient, what: string, ids: readonly string[]): Promise<void> {
  await client.until(`it is told that ${what} changed`, () => {
    const at = client.events.findIndex(
      (event) => event.event === "changed" && event.what === what && ids.every((id) => event.ids.includes(id)),
    );
    if (at >= 0) client.events.splice(at, 1);
    return at >= 0;
  });
}

const draftsOf = async (client: JsonClient): Promise<string[]> =>
  (await client.must({ do: "drafts" })).drafts.map(({ to, text }) => `${to}: ${text}`);

const messagesOf = async (client: JsonClient): Promise<string[]> =>
  (await client.must({ do: "messages" })).messages.map(({ text, read }) => `${text}${read ? " (read)" : ""}`);

test("reads, deletes and drafts show on both devices at once, also across a failover", async () => {
  await withDevices(async ({ scene, laptop, phone, bob }) => {
    const ids: string[] = [];
    for (let n = 1; n <= 4; n++) ids.push((await bob.must({ do: "send", to: "alice", text: `message ${n}` })).id);
    const [first = "", second = "", third = "", fourth = ""] = ids;
    for (const device of [laptop, phone]) await device.until("four arrive", () => device.received.length === 4);
    const draft = (await laptop.must({ do: "draft", to: "bob", text: "begun on the laptop" })).draft;
    await told(phone, "drafts", [draft]);
    await phone.must({ do: "draft", draft, to: "bob", text: "gone on with on the phone" });
    await told(laptop, "drafts", [draft]);
    expect(await draftsOf(laptop)).toEqual(["bob: gone on with on the phone"]);
    await laptop.must({ do: "mark", ids: [first], read: true });
    await told(phone, "read", [first]);
    await phone.must({ do: "delete", ids: [second] });
    await told(laptop, "deleted", [second]);
    const expected = ["message 4", "message 3", "message 1 (read)"];
    expect([await messagesOf(laptop), await messagesOf(phone)]).toEqual([expected, expected]);

    // The laptop's replica is the primary: both do something while it dies.
    const marking = laptop.must({ do: "mark", ids: [third], read: true });
    const saving = laptop.must({ do: "draft", to: "", text: "written while a replica died" });
    await scene.cluster.kill(1);
    const deleting = phone.must({ do: "delete", ids: [fourth] });
    const sending = phone.must({ do: "send-drafts", drafts: [draft] });
    const [, saved, , sent] = await Promise.all([marking, saving, deleting, sending]);
    await Promise.all([told(phone, "read", [third]), told(phone, "drafts", [saved.draft])]);
    const after = ["gone on with on the phone (read)", "message 3 (read)", "message 1 (read)"];
    await bob.until("the draft arrives", () => bob.received.length === 1);
    expect(bob.received).toMatchObject([{ id: sent.sent[0]?.id, text: "gone on with on the phone" }]);
    for (const device of [laptop, phone]) {
      expect(await messagesOf(device)).toEqual(after);
      expect(await draftsOf(device)).toEqual([": written while a replica died"]);
    }

    await scene.cluster.start(1);
    await scene.cluster.kill(2);
    // Whoever is between two replicas is told nothing, and asks when it is there again.
    await Promise.all([draftsOf(laptop), draftsOf(phone)]);
    await phone.must({ do: "delete-drafts", drafts: [saved.draft] });
    await told(laptop, "drafts", [saved.draft]);
    const again = await scene.signedIn(1, "alice");
    expect(await draftsOf(again)).toEqual([]);
    expect(await again.do({ do: "send-drafts", drafts: [draft] })).toMatchObject({ error: "no-such-draft" });
    expect(bob.received).toHaveLength(1);

    // One device after the other goes; only with the last one is alice gone, wherever bob is by now.
    await Promise.all([laptop.end(), again.end()]);
    expect((await bob.must({ do: "accounts", pattern: "alice" })).accounts).toMatchObject([
      { online: true, lastSeen: null },
    ]);
    await phone.end();
    const gone = () => bob.events.find((event) => event.event === "presence" && !event.online);
    await bob.until("alice is gone", () => gone() !== undefined);
    const { accounts } = await bob.must({ do: "accounts", pattern: "alice" });
    expect(gone()).toEqual({ event: "presence", ...(accounts[0] ?? expect.unreachable()) });
    expect(accounts[0]?.lastSeen).toBeGreaterThan(Date.now() - 60_000);
    await scene.signedIn(1, "alice");
    await bob.until("alice is back", () => bob.events.some((event) => event.event === "presence" && event.online));
  });
});
