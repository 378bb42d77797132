// Server-sent events of a POST, one JSON value each; EventSource can only GET.

export async function* stream(url, body, signal) {
  const response = await fetch(url, {
    method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  }).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("the server does not answer; is r1 serve still running?");
  });
  if (!response.ok) {
    const told = await response.json().catch(() => null);
    throw new Error(told?.error?.message ?? `${response.status} ${response.statusText}`);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) { return; }
    held += value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") { return; }
      yield JSON.parse(data);
    }
  }
}
