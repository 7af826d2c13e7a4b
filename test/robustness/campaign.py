"""Many cases in worker processes, with limits of time and memory; what fails is kept, minimal."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

from cases import GOOD, HERE, Outcome, load_kind, steps_of

TIME = 30.0
"""Seconds that a case may take."""

START = 300.0
"""Seconds until a worker is ready: a kind's libraries may have to compile."""

TURN = 240.0
"""Seconds that a worker stays with a kind."""

KEPT = 3
"""Examples of each finding that are minimised and kept; the others are counted only."""

MOST_TRIALS = 60
"""Runs that minimising one case may take."""


class Worker:
    """A process that runs cases of one kind."""

    def __init__(self, kind, kinds=HERE / 'kinds', limit=TIME):
        self._limit = limit
        self._scratch = tempfile.mkdtemp(prefix='instseg_fuzz_')
        self._errors = tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'TMPDIR': self._scratch}
        self._process = subprocess.Popen(
            [sys.executable, '-X', 'faulthandler', str(HERE / 'worker.py'), kind, str(kinds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=environment, start_new_session=True)
        self._timer_fired = False
        if self._answer(START) != 'ready':
            errors = self._last_errors()
            self.close()
            raise RuntimeError(f'kind {kind} does not start: {errors}')

    def run(self, case):
        """Return the outcome of a case; afterwards the worker may be dead, see `is_alive`."""
        with contextlib.suppress(BrokenPipeError):  # the answer tells
            self._process.stdin.write(json.dumps(case) + '\n')
            self._process.stdin.flush()
        answer = self._answer(self._limit)
        if answer:
            return Outcome(*json.loads(answer))
        if self._timer_fired:
            return Outcome('hang', f'no result within {self._limit:g} s\n{self._last_errors()}')
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f'exit code {code}'
        return Outcome('crash', f'{name}\n{self._last_errors()}')

    @property
    def is_alive(self):
        return self._process.poll() is None

    def close(self):
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _answer(self, limit):
        def give_up():
            self._timer_fired = True
            self._kill(signal.SIGABRT)  # shows where in the code it is
            time.sleep(1)
            self._kill()

        timer = threading.Timer(limit, give_up)
        timer.start()
        try:
            return self._process.stdout.readline().strip()
        finally:
            timer.cancel()

    def _kill(self, number=signal.SIGKILL):
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _last_errors(self):
        self._errors.seek(0)
        return self._errors.read()[-4000:].decode(errors='replace')


class Campaign:
    """Cases of several kinds, counted in a folder from which it can go on later.

    Parameters
    ----------
    folder : Path
        Holds `state.json` (the next case of each kind, and how many had which outcome) and
        `findings/`, a folder for each minimised case.
    kinds : list of str
    """

    def __init__(self, folder, kinds, source=HERE / 'kinds', limit=TIME):
        self.folder, self.kinds = folder, kinds
        self._source, self._limit = source, limit
        self._lock = threading.Lock()
        self._busy = Counter()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / 'state.json'
        self.state = json.loads(path.read_text()) if path.exists() else {}
        for kind in kinds:
            self.state.setdefault(kind, {'next': 0, 'seconds': 0.0, 'outcomes': {}, 'kept': {}})

    @property
    def done(self):
        """Number of cases so far, in all runs."""
        return sum(sum(self.state[kind]['outcomes'].values()) for kind in self.kinds)

    @property
    def findings(self):
        """Number of cases so far that had another outcome than a right result or an error."""
        return sum(count for kind in self.kinds
                   for name, count in self.state[kind]['outcomes'].items() if name not in GOOD)

    def run(self, workers, seconds, cases, report=print):
        """Run until the time or the number of cases (of all runs) is up, or Ctrl-C."""
        start, before = time.monotonic(), self.done
        stop = threading.Event()
        threads = [threading.Thread(target=self._work, args=(stop, cases, report), daemon=True)
                   for _ in range(workers)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(10 / workers)
                passed = time.monotonic() - start
                rate = (self.done - before) / passed
                report(f'{passed:7.0f} s  {self.done} cases, {rate:.1f}/s, '
                       f'{self.findings} findings')
                self._save()
                if passed >= seconds:
                    break
        except KeyboardInterrupt:
            report('interrupted; the next run goes on from here')
        stop.set()
        for thread in threads:
            thread.join(self._limit + START)
        self._save()

    def _work(self, stop, cases, report):
        while not stop.is_set() and (kind := self._next_kind(cases)):
            worker, end = None, time.monotonic() + TURN
            try:
                while not stop.is_set() and time.monotonic() < end and self.done < cases:
                    if worker is None or not worker.is_alive:
                        if worker:
                            worker.close()
                        worker = Worker(kind, self._source, self._limit)
                    with self._lock:
                        seed = self.state[kind]['next']
                        self.state[kind]['next'] += 1
                    began = time.monotonic()
                    outcome = worker.run({'seed': seed})
                    with self._lock:
                        self._count(kind, outcome, time.monotonic() - began)
                    if outcome.name not in GOOD:
                        self._keep(kind, seed, outcome)
            except RuntimeError as error:  # others have their turn first
                report(str(error))
                with self._lock:
                    self.state[kind]['seconds'] += TURN
            finally:
                if worker:
                    worker.close()
                with self._lock:
                    self._busy[kind] -= 1

    def _next_kind(self, cases):
        """Return the kind that had the least time so far, and that the fewest workers run."""
        with self._lock:
            if self.done >= cases:
                return None
            kind = min(self.kinds, key=lambda name: (self._busy[name],
                                                     self.state[name]['seconds']))
            self._busy[kind] += 1
            return kind

    def _count(self, kind, outcome, seconds):
        state = self.state[kind]
        state['outcomes'][outcome.name] = state['outcomes'].get(outcome.name, 0) + 1
        state['seconds'] += seconds

    def _keep(self, kind, seed, outcome):
        """Minimise a finding and keep it, unless there are enough like it."""
        what = f'{outcome.name} {place_of(outcome.detail)}'
        with self._lock:
            kept = self.state[kind]['kept']
            kept[what] = kept.get(what, 0) + 1
            if kept[what] > KEPT:
                return
        module = load_kind(kind, self._source)
        steps = self._minimal(kind, steps_of(module, seed), outcome.name)
        folder = self.folder / 'findings' / f'{kind}-{seed}'
        shutil.rmtree(folder, ignore_errors=True)
        (folder / 'input').mkdir(parents=True)
        try:
            module.write(steps, folder / 'input')
        except Exception as error:
            outcome = Outcome(outcome.name, f'{outcome.detail}\n(not written: {error!r})')
        (folder / 'case.json').write_text(json.dumps(
            {'kind': kind, 'seed': seed, 'steps': steps, 'outcome': outcome.name}, indent=1))
        (folder / 'detail.txt').write_text(outcome.detail)

    def _minimal(self, kind, steps, name):
        """Leave out steps while the outcome stays the same."""
        worker, trials = None, 0
        try:
            place = 0
            while place < len(steps) and len(steps) > 1 and trials < MOST_TRIALS:
                if worker is None or not worker.is_alive:
                    if worker:
                        worker.close()
                    worker = Worker(kind, self._source, self._limit)
                fewer = steps[:place] + steps[place + 1:]
                trials += 1
                if worker.run({'steps': fewer}).name == name:
                    steps = fewer
                else:
                    place += 1
        finally:
            if worker:
                worker.close()
        return steps

    def _save(self):
        with self._lock:
            text = json.dumps(self.state, indent=1)
        temporary = self.folder / 'state.json.new'
        temporary.write_text(text)
        temporary.replace(self.folder / 'state.json')

    def table(self):
        """Return the outcomes as a table in Markdown."""
        bad = sorted({name for kind in self.kinds for name in self.state[kind]['outcomes']
                      if name not in GOOD})
        names = [*GOOD, *bad]
        rows = [['kind', 'cases', 'right result', 'clear error', *bad, 'cases/s of a worker']]
        totals = Counter()
        for kind in self.kinds:
            outcomes = Counter(self.state[kind]['outcomes'])
            totals += outcomes
            rate = sum(outcomes.values()) / max(self.state[kind]['seconds'], 1e-9)
            rows.append([kind, sum(outcomes.values()), *(outcomes[name] for name in names),
                         f'{rate:.0f}'])
        rows.append(['**all**', sum(totals.values()), *(totals[name] for name in names), ''])
        lines = [f'| {" | ".join(map(str, row))} |' for row in rows]
        return '\n'.join([lines[0], '|' + ' --- |' * len(rows[0]), *lines[1:]])


def place_of(detail):
    """Return the last line of our code in a traceback, to tell findings apart."""
    places = re.findall(r'File ".*/(instseg_ros/[^"]+)", line (\d+)', detail)
    return ':'.join(places[-1]) if places else detail[:60]
