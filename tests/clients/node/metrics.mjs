// What the gateway's own metrics say.

// How many requests of a caller the gateway has refused because of a limit.
export async function rejections(stack, caller) {
  const text = await (await fetch(`${stack.admin}/metrics`)).text();
  const counted = text.split('\n').filter((line) => line.startsWith('azgate_limit_rejections_total'));
  const own = counted.filter((line) => line.includes(`caller="${caller}"`));
  return own.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

// Whether one more request was refused. The last one is counted just after its answer.
export async function refusedOnce(stack, caller, before) {
  const deadline = Date.now() + 5_000;
  while ((await rejections(stack, caller)) === before && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return (await rejections(stack, caller)) === before + 1;
}
