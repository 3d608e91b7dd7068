// What the platform does for a component: calls of Apex.
export async function call(name, given = {}) {
  const answer = await fetch(`/apex/${name}`, { method: "POST", body: JSON.stringify(given) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error("Apex"), { body });
  return body;
}
