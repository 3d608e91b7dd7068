// What jsforce asks of an org beside its rows, one function a test of test_jsforce_org.py.
import { connect, failure } from "./jsforce_connect.mjs";

export async function describe(where) {
  const conn = connect(where);
  const [all, quote, account] = [await conn.describeGlobal(), await conn.describe("Quote"), await conn.sobject("Account").describe$()];
  const field = (name) => quote.fields.find((each) => each.name === name);
  return {
    encoding: all.encoding,
    objects: Object.fromEntries(all.sobjects.map((each) => [each.name, [each.keyPrefix, each.labelPlural, each.custom]])),
    quote: { name: quote.name, keyPrefix: quote.keyPrefix, queryable: quote.queryable, urls: quote.urls },
    key: field("QuoteJobKey__c"),
    parent: field("OpportunityId"),
    status: field("Status"),
    total: field("GrandTotal"),
    children: account.childRelationships.map((each) => [each.childSObject, each.field, each.relationshipName]),
  };
}

export async function standing(where) {
  const conn = connect(where);
  const identity = await conn.identity();
  const limits = await conn.limits();
  await conn.query("SELECT Id FROM Account LIMIT 1");
  return { identity, limits, limitInfo: conn.limitInfo };
}

export async function recentAndChanged({ name, ...where }) {
  const conn = connect(where);
  const accounts = conn.sobject("Account");
  const [kept, gone] = await accounts.create([{ Name: `${name} kept` }, { Name: `${name} gone` }]);
  await accounts.destroy(gone.id);
  const now = Date.now();
  const [from, to] = [new Date(now - 3_600_000), new Date(now + 120_000)];
  return {
    kept: kept.id, gone: gone.id,
    recent: await conn.recent("Account", 3),
    updated: await accounts.updated(from, to),
    deleted: await accounts.deleted(from, to),
  };
}

export async function composite({ name, ...where }) {
  const conn = connect(where);
  const base = `/services/data/v${conn.version}`;
  const step = (referenceId, method, url, body) => ({ referenceId, method, url: `${base}${url}`, body });
  const good = await conn.requestPost("/composite", {
    allOrNone: true,
    compositeRequest: [
      step("account", "POST", "/sobjects/Account", { Name: name }),
      step("deal", "POST", "/sobjects/Opportunity", { Name: name, AccountId: "@{account.id}", StageName: "Prospecting", CloseDate: "2027-01-01" }),
      step("look", "GET", "/query?q=SELECT+Name,Account.Name+FROM+Opportunity+WHERE+Id='@{deal.id}'"),
      step("again", "PATCH", "/sobjects/Opportunity/@{deal.id}", { NextStep: "@{look.records[0].Account.Name}" }),
    ],
  });
  const bad = await conn.requestPost("/composite", {
    allOrNone: true,
    compositeRequest: [
      step("first", "POST", "/sobjects/Account", { Name: `${name} lost` }),
      step("second", "POST", "/sobjects/Account", { BillingCity: "Rom" }),
    ],
  });
  const loose = await conn.requestPost("/composite", {
    allOrNone: false,
    compositeRequest: [
      step("first", "POST", "/sobjects/Account", { BillingCity: "Rom" }),
      step("second", "POST", "/sobjects/Account", { Name: `${name} found`, ParentId: "@{first.id}" }),
      step("third", "POST", "/sobjects/Account", { Name: `${name} found` }),
    ],
  });
  const tooMany = await failure(
    conn.requestPost("/composite", {
      compositeRequest: Array.from({ length: 26 }, (_, index) => step(`r${index}`, "GET", "/sobjects/Account/describe")),
    }),
  );
  return {
    good: good.compositeResponse, bad: bad.compositeResponse, loose: loose.compositeResponse, tooMany,
    rows: (await conn.query(`SELECT Name, NextStep, Account.Name FROM Opportunity WHERE Name = '${name}'`)).records,
    accounts: (await conn.query(`SELECT Name FROM Account WHERE Name LIKE '${name} %'`)).records.map((row) => row.Name),
  };
}

export async function batchAndTree({ name, ...where }) {
  const conn = connect(where);
  const tree = await conn.requestPost("/composite/tree/Account", {
    records: [
      {
        attributes: { type: "Account", referenceId: "a1" },
        Name: name,
        Opportunities: {
          records: [
            { attributes: { type: "Opportunity", referenceId: "o1" }, Name: `${name} 1`, StageName: "Prospecting", CloseDate: "2027-01-01" },
            { attributes: { type: "Opportunity", referenceId: "o2" }, Name: `${name} 2`, StageName: "Prospecting", CloseDate: "2027-01-02" },
          ],
        },
      },
      { attributes: { type: "Account", referenceId: "a2" }, Name: `${name} alone` },
    ],
  });
  const version = `v${conn.version}`;
  const id = tree.results.find((each) => each.referenceId === "a1").id;
  const refused = await failure(
    conn.requestPost("/composite/tree/Account", {
      records: [
        { attributes: { type: "Account", referenceId: "ok" }, Name: `${name} lost` },
        { attributes: { type: "Account", referenceId: "bad" }, BillingCity: "Rom" },
      ],
    }),
  );
  const batch = await conn.requestPost("/composite/batch", {
    batchRequests: [
      { method: "GET", url: `${version}/sobjects/Account/${id}?fields=Name` },
      { method: "PATCH", url: `${version}/sobjects/Account/${id}`, richInput: { BillingCity: "Bern" } },
      { method: "GET", url: `${version}/query?q=SELECT+COUNT()+FROM+Opportunity+WHERE+AccountId='${id}'` },
      { method: "GET", url: `${version}/sobjects/Account/001000000000000AAA` },
    ],
  });
  return { tree, refused, batch, rows: (await conn.query(`SELECT Name, BillingCity, (SELECT Name FROM Opportunities ORDER BY Name) FROM Account WHERE Name LIKE '${name}%' ORDER BY Name`)).records };
}
