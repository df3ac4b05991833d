/** The load of the `webhooks` benchmark, a process of its own: sends what was signed before over keep-alive connections. */
import { createHmac } from 'node:crypto';
import { Client } from 'undici';

/** Events to deliver, and where to. */
export interface WebhookPlan {
  url: string;
  secret: string;
  bodies: string[];
  connections: number;
}

/** Everything was answered. */
export interface WebhooksDone {
  elapsedMs: number;
  tookMs: number[];
  /** The first answer that was not 200. */
  failure: string | null;
}

process.once('message', (plan: WebhookPlan) => void deliver(plan));

async function deliver({ url, secret, bodies, connections }: WebhookPlan): Promise<void> {
  const time = String(Math.floor(Date.now() / 1000));
  const requests = bodies.map((body) => ({
    body,
    signature: `t=${time},v1=${createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')}`,
  }));
  const clients = Array.from({ length: connections }, () => new Client(url, { pipelining: 1 }));
  for (const client of clients)
    await (await client.request({ method: 'GET', path: '/health/live' })).body.dump();
  const tookMs: number[] = [];
  let failure: string | null = null;
  const startedAt = performance.now();
  await Promise.all(
    clients.map(async (client, index) => {
      for (let at = index; at < requests.length; at += connections) {
        const { body = '', signature = '' } = requests[at] ?? {};
        const sentAt = performance.now();
        const response = await client.request({
          method: 'POST',
          path: '/api/v1/webhooks/stripe',
          headers: { 'content-type': 'application/json', 'stripe-signature': signature },
          body,
        });
        const text = await response.body.text();
        tookMs.push(performance.now() - sentAt);
        if (response.statusCode !== 200) failure ??= `${String(response.statusCode)} ${text}`;
      }
    }),
  );
  const elapsedMs = performance.now() - startedAt;
  await Promise.all(clients.map((client) => client.close()));
  process.send?.({ elapsedMs, tookMs, failure } satisfies WebhooksDone);
}
