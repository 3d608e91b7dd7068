// How a user of jsforce reaches the local org: an http instanceUrl and a token.
import jsforce from "jsforce";

export { jsforce };

export function connect({ url, token, version = "66.0" }) {
  return new jsforce.Connection({ instanceUrl: url, accessToken: token, version });
}

// What a call that must fail is refused with.
export async function failure(promise) {
  try {
    return { unexpected: await promise };
  } catch (error) {
    const { name, errorCode, message, data, error: oauth } = error;
    return { name, errorCode, message, data, oauth };
  }
}
