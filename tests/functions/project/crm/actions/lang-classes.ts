import { createAction } from 'nango';
import * as z from 'zod';

abstract class Shape {
	static count = 0;
	#name: string;
	protected readonly made = ++Shape.count;
	constructor(name: string) {
		this.#name = name;
	}
	abstract area(): number;
	get name() {
		return this.#name;
	}
	toJSON() {
		return { name: this.name, area: this.area(), made: this.made };
	}
	static #secret() {
		return 'secret';
	}
	static reveal() {
		return Shape.#secret();
	}
}
class Square extends Shape {
	side = 2;
	constructor() {
		super('square');
	}
	override area = () => this.side ** 2;
	*[Symbol.iterator]() {
		for (let i = 0; i < 4; i++) yield this.side;
	}
}
class Circle extends Shape {
	static {
		Shape.count = 10;
	}
	constructor(private readonly r = 1) {
		super('circle');
	}
	area() {
		return Math.round(Math.PI * this.r * this.r * 100) / 100;
	}
	override toJSON() {
		return { ...super.toJSON(), round: true };
	}
}

export default createAction({
	description: 'Classes with everything',
	input: z.object({}),
	output: z.any(),
	exec: async () => {
		const square = new Square();
		const circle = new Circle(2);
		return {
			json: [square, circle],
			spread: [...square],
			kinds: [square instanceof Shape, circle instanceof Square, Shape.reveal(), Object.keys(square), typeof Circle],
			bound: [square].map((each) => each.area)[0]!()
		};
	}
});
