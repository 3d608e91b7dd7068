// Platform events as a user of salesforce-pubsub-api-client receives and publishes them.
import PubSubApiClient from "salesforce-pubsub-api-client";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function connected({ url, token, orgId, endpoint }) {
  const client = new PubSubApiClient(
    {
      authType: "user-supplied",
      instanceUrl: url,
      accessToken: token,
      organizationId: orgId,
      pubSubEndpoint: endpoint,
      rejectUnauthorizedSsl: false,
    },
    quiet,
  );
  await client.connect();
  return client;
}

// The client leaves its streams open when it closes: without an end of its own the program would wait for them.
function close(client) {
  client.close();
  setTimeout(() => process.exit(0), 300).unref();
}

// Subscribe, and return the events as soon as there are so many, or the error of the subscription.
// `replay`: -1, -2 or an id. `again`: after an error, subscribe after the last event that came.
export async function listen({ topic, replay, many, batch, again, ...where }) {
  const client = await connected(where);
  const events = [];
  let errors = 0;
  try {
    return await new Promise((resolve) => {
      const seen = (_subscription, kind, data) => {
        if (kind === "event") {
          events.push(data);
          if (events.length === many) resolve({ events, errors });
        } else if (kind === "lastEvent") {
          client.requestAdditionalEvents(topic, batch);
        } else if (kind === "error") {
          errors += 1;
          if (!again) resolve({ code: data.code, details: data.details, errorCode: data.metadata?.get("error-code")[0] });
        } else if (kind === "end" && again) {
          setTimeout(() => start(events.at(-1)?.replayId ?? replay), 300);
        }
      };
      const start = (from) => {
        if (from === -2) client.subscribeFromEarliestEvent(topic, seen, batch);
        else if (from === -1) client.subscribe(topic, seen, batch);
        else client.subscribeFromReplayId(topic, seen, batch, from);
      };
      start(replay);
    });
  } finally {
    close(client);
  }
}

// Publish one event, then the others in one batch of a stream; return all results.
export async function publish({ topic, payloads, ...where }) {
  const client = await connected(where);
  try {
    const [one, ...others] = payloads;
    const first = await client.publish(topic, one, "the-first");
    const results = await new Promise((resolve, reject) => {
      const answered = (_info, kind, data) => {
        if (kind === "publishResponse") resolve(data.results);
        if (kind === "error") reject(data);
      };
      client.publishBatch(topic, others.map((payload) => ({ payload })), answered);
    });
    return [{ replayId: first.replayId, correlationKey: first.correlationKey }, ...results];
  } finally {
    close(client);
  }
}
