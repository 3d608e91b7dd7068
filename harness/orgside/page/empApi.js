// lightning/empApi over CometD, as Bayeux has it: handshake, subscribe, connect again and again.
let number = 0;
let client;
let told = () => {};

async function send(channel, more) {
  const message = { id: String(++number), channel, clientId: client, ...more };
  const answer = await fetch("/cometd/66.0", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify([message]),
  });
  if (!answer.ok) throw new Error(`CometD answered ${answer.status}`);
  return answer.json();
}

export const onError = (heard) => {
  told = heard;
};

export async function subscribe(channel, replay, heard) {
  const [hello] = await send("/meta/handshake", { version: "1.0", supportedConnectionTypes: ["long-polling"] });
  client = hello.clientId;
  await send("/meta/subscribe", { subscription: channel, ext: { replay: { [channel]: replay } } });
  const subscription = { channel, on: true };
  (async () => {
    while (subscription.on) {
      const found = await send("/meta/connect", { connectionType: "long-polling" });
      found.filter((message) => message.channel === channel).forEach(heard);
    }
  })().catch((error) => subscription.on && told(error));
  return subscription;
}

export const unsubscribe = async (subscription) => {
  subscription.on = false;
};
