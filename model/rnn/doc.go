// Package rnn builds the layers of a recurrent network as fused Gorgonia operations: one graph node
// per layer and direction of flow, with the arithmetic in [device.Kernels].
//
// A [Graph] wraps a Gorgonia expression graph; its methods add layers. Every layer implements
// gorgonia.Op and gorgonia.SDOp (BatchNorm and Dropout also gorgonia.TrainModeOp), so that
// gorgonia.Backpropagate, a TapeMachine and any gorgonia.Solver work on it as usual. Use a
// TapeMachine only: a LispMachine runs such operations but leaves their gradients at zero.
//
// # Shapes
//
// A batch is Batch windows of Window positions, stored time-major: row t*Batch+b is position t of
// window b, and R = Window*Batch is the number of rows. Shapes are static. A short window or a
// partial batch is padded: the vector present [R] is 1 where a row is an event and 0 where it is
// padding. At padding the state of an LSTM is held at zero in both directions, batch statistics do
// not count the row and no gradient flows through it. A loss weight [R] of 0 only takes a row out
// of the loss: it is still an input.
//
// # Memory and threads
//
// A layer keeps its activations and gradients in buffers of its own, made with the graph: a run
// allocates nothing here. [Workers] share out the rows of a layer and the two directions of an
// LSTM; results have the same bits for any number of threads. Graphs are independent: several may
// run at once, each in its own goroutine.
package rnn
