package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

func (a *app) deviceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "device",
		Short:   "See what a network can be computed on",
		Example: "  k8ntext device list",
	}
	c.AddCommand(a.deviceListCommand())
	return c
}

func (a *app) deviceListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the processor's kernels, OpenBLAS and the OpenCL devices of this machine",
		Long: `Lists what --device can name on this machine: the processor with its own kernels
(cpu), with the product of the system's OpenBLAS (openblas), and OpenCL devices, GPUs
first (opencl is opencl:0). auto is the first GPU, else the processor.`,
		Example: "  k8ntext device list\n  k8ntext device list -o json",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := listDevices()
			if a.output == "json" {
				return a.writeJSON(l)
			}
			return a.printDevices(l)
		},
	}
}

// deviceList is what device list prints.
type deviceList struct {
	Auto     string           `json:"auto"`    // what auto is here
	Kernels  []string         `json:"kernels"` // of the processor, fastest first
	OpenBLAS bool             `json:"openblas"`
	OpenCL   []*opencl.Device `json:"opencl"`
	// Missing says why there is no OpenBLAS or no OpenCL device.
	Missing []string `json:"missing,omitempty"`
}

func listDevices() deviceList {
	l := deviceList{Kernels: device.Available(), OpenCL: []*opencl.Device{}}
	missing := func(err error) {
		l.Missing = append(l.Missing, strings.Join(strings.Fields(err.Error()), " "))
	}
	if t, err := device.Open("auto", ""); err == nil {
		l.Auto = t.Name()
	}
	if _, err := device.OpenBLAS(); err != nil {
		missing(err)
	} else {
		l.OpenBLAS = true
	}
	if found, err := opencl.Devices(); err != nil {
		missing(err)
	} else {
		l.OpenCL = found
	}
	return l
}

func (a *app) printDevices(l deviceList) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tTYPE\tNAME\tVENDOR\tDRIVER\tMEMORY")
	fmt.Fprintf(w, "cpu\tcpu\tkernels %s\t\t\t\n", strings.Join(l.Kernels, ", "))
	if l.OpenBLAS {
		fmt.Fprint(w, "openblas\tcpu\tthe system's OpenBLAS\t\t\t\n")
	}
	for _, d := range l.OpenCL {
		fmt.Fprintf(w, "opencl:%d\t%s\t%s\t%s\t%s, %s\t%.1f GiB\n", d.Index, d.Type,
			printable(d.Name), printable(d.Vendor), printable(d.Platform), printable(d.Driver), float64(d.Memory)/(1<<30))
	}
	err := w.Flush()
	for _, m := range l.Missing {
		if !a.quiet {
			fmt.Fprintf(a.stderr, "k8ntext: %s\n", printable(m))
		}
	}
	_, err2 := fmt.Fprintf(a.stdout, "auto is %s\n", printable(l.Auto))
	return errors.Join(err, err2)
}
