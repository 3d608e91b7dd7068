// Platform events as a user of jsforce receives them.
import { StreamingExtension } from "jsforce/lib/api/streaming.js";

import { connect } from "./jsforce_connect.mjs";

// Subscribe, and return the events as soon as there are so many, or the error of the subscription.
export async function listen({ channel, replay, many, ...where }) {
  const client = connect(where).streaming.createClient([new StreamingExtension.Replay(channel, replay)]);
  const events = [];
  try {
    return await new Promise((resolve) => {
      const subscription = client.subscribe(channel, (event) => {
        events.push(event);
        if (events.length === many) resolve(events);
      });
      subscription.then(null, (error) => resolve({ error: `${error.code}::${error.message}` }));
    });
  } finally {
    await client.disconnect();
  }
}
