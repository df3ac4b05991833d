/** Lines for the coordinator's configuration: one machine plays everybody, so that honest limits would be in the way. */
export const NO_RATE_LIMITS = `[rate_limits]
per_key = 10000000
per_agent = 10000000
per_address = 10000000
`;
