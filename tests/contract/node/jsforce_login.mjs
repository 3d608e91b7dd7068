// jsforce's ways to log in, one function a test of test_jsforce_login.py.
import { jsforce, connect, failure } from "./jsforce_connect.mjs";

const app = ({ url }, more = {}) => ({ loginUrl: url, clientId: "any-client", clientSecret: "any-secret", ...more });

async function who(conn, userInfo) {
  const { user_id: userId, organization_id: organizationId, username } = await conn.identity();
  return { userInfo, identity: { userId, organizationId, username }, instanceUrl: conn.instanceUrl, token: conn.accessToken };
}

export async function password({ username, secret, ...where }) {
  const conn = new jsforce.Connection({ oauth2: app(where), loginUrl: where.url });
  const found = await who(conn, await conn.login(username, secret));
  await conn.logout();
  return {
    ...found,
    afterLogout: await failure(connect({ url: where.url, token: found.token }).query("SELECT Id FROM Account LIMIT 1")),
    wrong: await failure(new jsforce.Connection({ oauth2: app(where), loginUrl: where.url }).login("nobody@example.com", secret)),
  };
}

export async function soap({ username, secret, ...where }) {
  const conn = new jsforce.Connection({ loginUrl: where.url, version: "64.0" });
  const found = await who(conn, await conn.login(username, secret));
  return { ...found, wrong: await failure(new jsforce.Connection({ loginUrl: where.url }).login("nobody@example.com", secret)) };
}

export async function clientCredentials(where) {
  const conn = new jsforce.Connection({ instanceUrl: where.url, oauth2: app(where) });
  return who(conn, await conn.authorize({ grant_type: "client_credentials" }));
}

export async function jwtBearer({ assertion, wrong, ...where }) {
  const conn = new jsforce.Connection({ oauth2: app(where, { clientSecret: undefined }) });
  const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
  const found = await who(conn, await conn.authorize({ grant_type, assertion }));
  const other = new jsforce.Connection({ oauth2: app(where, { clientSecret: undefined }) });
  return { ...found, wrong: await failure(other.authorize({ grant_type, assertion: wrong })) };
}

// The web-server flow with PKCE: the address a browser is sent to ...
export async function address({ redirectUri, ...where }) {
  const oauth2 = new jsforce.OAuth2(app(where, { redirectUri, useVerifier: true }));
  return { address: oauth2.getAuthorizationUrl({ scope: "api refresh_token", state: "of mine" }), verifier: oauth2.codeVerifier };
}

// ... and the login with the code it comes back with.
export async function code({ code, verifier, redirectUri, ...where }) {
  const oauth2 = new jsforce.OAuth2(app(where, { redirectUri }));
  oauth2.codeVerifier = verifier;
  const conn = new jsforce.Connection({ oauth2 });
  const first = await who(conn, await conn.authorize(code));
  const twice = await failure(new jsforce.Connection({ oauth2 }).authorize(code));

  // A token that has died is replaced without a word, since there is a refresh token.
  const refreshed = [];
  conn.on("refresh", (token) => refreshed.push(token));
  conn.accessToken = `${where.orgId.slice(0, 15)}!dead`;
  const again = await conn.query("SELECT Id FROM Account LIMIT 1");
  return { first, twice, refreshed: refreshed.length, fresh: conn.accessToken === refreshed[0], rows: again.records.length };
}
