/** What every page gets: local times, ticking counters, copy buttons. */
import { startCopying } from './copy.ts';
import { revealScripted } from './dom.ts';
import { localiseTimes, startTicking } from './times.ts';

revealScripted(document);
localiseTimes(document);
startTicking();
startCopying();
