// Pictures of arrays of [frame, row], one column a frame, all on the same axis.

/** Pixels at the left, where the rows are named. */
const GUTTER = 22;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name);

/** A canvas under a heading, with `rows` rows of `rowHeight` pixels. */
export function chart(parent, title, rows, rowHeight) {
    const heading = document.createElement('h3');
    heading.textContent = title;
    const canvas = document.createElement('canvas');
    canvas.style.height = `${rows * rowHeight}px`;
    canvas.role = 'img';
    const box = document.createElement('div');
    box.append(heading, canvas);
    parent.append(box);
    return { canvas, rows, rowHeight };
}

/** Clears a chart and calls `paint(context, x, y, rowHeight)`, where `x(frame)` and `y(row)` are the corners of a cell. */
function draw({ canvas, rows, rowHeight }, frames, description, paint) {
    const width = canvas.clientWidth;
    const scale = devicePixelRatio;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(rows * rowHeight * scale);
    canvas.ariaLabel = description;
    const context = canvas.getContext('2d');
    context.scale(scale, scale);
    context.fillStyle = colour('--panel');
    context.fillRect(GUTTER, 0, width, rows * rowHeight);
    const column = (width - GUTTER) / frames;
    paint(context, frame => GUTTER + frame * column, row => row * rowHeight, rowHeight);
}

function name(context, text, x, y, height, align = 'center') {
    context.font = `${Math.min(height, 12)}px ui-monospace, monospace`;
    context.textAlign = align;
    context.textBaseline = 'middle';
    context.fillText(text, x, y + height / 2);
}

/** Numbers from 0 to 1 as [frame, row]: `paint` is the name of a colour's components. */
export function heat(target, values, frames, names, paint, description) {
    draw(target, frames, description, (context, x, y, height) => {
        const components = colour(paint);
        values.forEach((value, index) => {
            const frame = Math.floor(index / target.rows);
            const row = index % target.rows;
            // Small probabilities are what is of interest: the root shows them.
            context.fillStyle = `rgba(${components}, ${Math.sqrt(value)})`;
            context.fillRect(x(frame), y(row), x(frame + 1) - x(frame), height);
        });
        context.fillStyle = colour('--soft');
        names.forEach((text, row) => name(context, text, GUTTER / 2, y(row), height));
    });
}

/** For each frame a character, or nothing at a blank; a run of one label's frames is one box. */
export function strip(target, runs, frames, description) {
    draw(target, frames, description, (context, x, y, height) => {
        for (const { text, from, to } of runs) {
            context.fillStyle = `rgba(${colour('--heat')}, 0.35)`;
            context.fillRect(x(from), y(0), Math.max(x(to + 1) - x(from) - 1, 1), height);
            context.fillStyle = colour('--text');
            name(context, text, (x(from) + x(to + 1)) / 2, y(0), height);
        }
    });
}
