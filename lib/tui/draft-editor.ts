/** The questions by which a draft is written or changed where there are screens: its recipient, then its text. */
import { limits } from "../base/limits.ts";
import type { ChatContext } from "./context.ts";
import type { Draft } from "./drafts.ts";
import { draftOf } from "./editor.ts";
import { byteLength, nameComplaint } from "./sentences.ts";

/** Asks for the recipient and the text of a draft, a new one if it is null; the draft as it is then, null when it stays. */
export async function editDraft(context: ChatContext, draft: Draft | null): Promise<Draft | null> {
  const { surface, questions, drafts } = context;
  const whom = await surface.ask({
    kind: "field",
    label: "To (may stay empty)",
    initial: draftOf(draft?.to ?? context.partner ?? ""),
    back: true,
    accept: (text) => (text.trim() === "" ? null : nameComplaint(text.trim().replace(/^@/, ""))),
    complete: (before) => questions.knownNames().filter((name) => name.toLowerCase().startsWith(before.toLowerCase())),
  });
  if (whom.type !== "line") return null;
  const to = whom.text.trim().replace(/^@/, "");
  const written = await surface.ask({
    kind: "prompt",
    label: "Text",
    initial: draftOf(draft?.text ?? ""),
    back: true,
    accept: (text) => {
      if (text.trim() === "") return "Type a text; Escape leaves the draft as it was.";
      const bytes = byteLength(text);
      return bytes > limits.textBytesMax ? `too long: ${bytes} of ${limits.textBytesMax} bytes` : null;
    },
  });
  if (written.type !== "line") return null;
  const answer = await surface.busy("Saving", drafts.save(draft?.draft ?? null, to, written.text));
  if (answer.type === "refused") {
    surface.say({ tone: "bad", text: `Not saved: ${answer.message}`, failed: true });
    return null;
  }
  surface.say({ tone: "good", text: "Draft saved." });
  return { draft: answer.draft, to, text: written.text, at: Date.now() };
}
