/** The floor of the `idle` benchmark: a Node that waits and does nothing. */
process.on('message', () => undefined);
process.send?.('started');
