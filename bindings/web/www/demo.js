// "See what the loss sees": a line, what the network makes of it, and what CTC makes of a label.
import { Reader, noiseField } from './pkg/ctc_wgpu_web.js';
import { heat, strip } from './charts.js';
import { byId, tell } from './dom.js';

const bytes = async name => {
    const response = await fetch(new URL(name, import.meta.url));
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
};

/** The runs of frames that belong to one label. */
function runsOf(alignment, label) {
    const runs = [];
    alignment.forEach((place, frame) => {
        if (place < 0) return;
        const last = runs.at(-1);
        if (last?.place === place) last.to = frame;
        else runs.push({ place, text: label[place], from: frame, to: frame });
    });
    return runs;
}

const percent = probability => {
    const value = probability * 100;
    return value >= 0.01 ? `${value.toPrecision(3)} %` : value > 0 ? `${value.toExponential(1)} %` : '0';
};

export async function startDemonstration() {
    const reader = new Reader(...await Promise.all(['weights.bin', 'glyphs.bin'].map(bytes)));
    const { frames, height, alphabet } = reader;
    tell('alphabet', alphabet);
    const names = [...alphabet, '␣'];
    const field = noiseField(frames * height);
    let shown;
    const paint = () => {
        if (!shown) return;
        const { pixels, label, explanation, runs } = shown;
        const { probabilities, occupancies, reading } = explanation;
        const classes = names.length;
        heat(byId('chart-line'), pixels, height, frames, [], '--ink', `The text ${byId('text').value}, drawn`);
        heat(byId('chart-output'), probabilities, classes, frames, names, '--heat', `Probabilities: the network reads ${reading || 'nothing'}`);
        heat(byId('chart-asked'), occupancies, classes, frames, names, '--heat', `Occupancies of the label ${label || 'without characters'}`);
        strip(byId('chart-path'), runs, frames, byId('charts-text').textContent);
    };

    const describe = ({ status }, runs) => {
        if (status === 'impossible') return 'No alignment: the line has too few columns for this label.';
        if (runs.length === 0) return 'The label has no characters: every column is a blank.';
        const columns = ({ from, to }) => (from === to ? `${from + 1}` : `${from + 1}–${to + 1}`);
        return `Columns of the alignment: ${runs.map(run => `${run.text} ${columns(run)}`).join(', ')}; the others are blank.`;
    };

    let latest = 0;
    async function update() {
        const mine = ++latest;
        const input = id => byId(id).value.toUpperCase();
        try {
            const drawn = reader.draw(input('text'), Number(byId('face').value), Number(byId('spacing').value));
            const noise = Number(byId('noise').value);
            const pixels = drawn.map((pixel, index) => Math.min(Math.max(pixel + noise * field[index], 0), 1));
            const label = input('label');
            const explanation = await reader.explain(reader.logits(pixels), label);
            // Another key was pressed meanwhile.
            if (mine !== latest) return;
            const runs = runsOf(explanation.alignment, label);
            shown = { pixels, label, explanation, runs };
            tell('demo-error', '');
            tell('loss', explanation.loss === Infinity ? '∞' : explanation.loss.toPrecision(4));
            tell('probability', percent(Math.exp(-explanation.loss)));
            tell('reading', explanation.reading || '(nothing)');
            tell('charts-text', describe(explanation, runs));
            paint();
        } catch (error) {
            if (mine === latest) tell('demo-error', error.message);
        }
    }

    byId('demo-form').addEventListener('input', update);
    byId('demo-form').addEventListener('submit', event => event.preventDefault());
    // Typing a text is also typing its label, until the label has been changed.
    byId('text').addEventListener('input', () => {
        if (!byId('label').dataset.edited) byId('label').value = byId('text').value;
    });
    byId('label').addEventListener('input', () => { byId('label').dataset.edited = 'yes'; });
    new ResizeObserver(paint).observe(byId('charts'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
    await update();
}
