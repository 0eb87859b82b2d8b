package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"
	"github.com/spf13/cobra"

	"k8ntext/dataset/pseudonym"
)

func (a *app) corpusAnonymiseCommand() *cobra.Command {
	var file, keyFile, mapping string
	var keep []string
	c := &cobra.Command{
		Use:   "anonymise LOG -o FILE",
		Short: "Mask secrets and replace names in a log, before it is shared",
		Long: `Masks secrets as corpus import does and replaces names by pseudonyms: users,
groups, namespaces, objects, labels, programs, hosts, images and URLs, word by word,
and network addresses. What Kubernetes itself calls things stays (system: users,
kube-system and its accounts, resource kinds), and so do the API groups of custom
resources. Names that begin with each other still do, so that labels, rules and the
ties between objects come out as before.

Data of ConfigMaps, commands, environment variables and annotations of other tools
are blanked. At the end the result is searched for every name; if one is left,
nothing is written. Free text can still hold what no field names: look at it.

The same --key gives the same pseudonyms in every log; a missing key file is made.
Without one a key is drawn and forgotten. Keep key and mapping to yourself.`,
		Example: `  k8ntext corpus anonymise audit.log.gz -o share.jsonl.zst
  k8ntext corpus anonymise mine.jsonl.zst -o share.jsonl.zst --key team.key --mapping names.jsonl`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef("corpus anonymise needs a file to write: -o FILE")
			}
			key, err := readKey(keyFile)
			if err != nil {
				return err
			}
			names := pseudonym.New(key)
			names.Keep(keep...)
			report, err := anonymise(cmd, names, args[0], file)
			if err != nil {
				return err
			}
			if mapping != "" {
				if err := writeMapping(mapping, names.Mapping()); err != nil {
					return err
				}
			}
			if report.Skipped > 0 && !a.quiet {
				fmt.Fprintf(a.stderr, "k8ntext: %d lines are not JSON and were left out\n", report.Skipped)
			}
			kinds := make(map[pseudonym.Kind]int)
			for _, p := range names.Mapping() {
				kinds[p.Kind]++
			}
			m := report.Masked
			_, err = fmt.Fprintf(a.stdout, `%s: %d lines
replaced: %d users, %d groups, %d objects, %d labels, %d programs, %d hosts, %d images, %d addresses
masked: %d values of Secrets, %d tokens, %d credentials, %d keys and certificates, %d names of machines
`, printable(file), report.Lines, kinds[pseudonym.User], kinds[pseudonym.Group], kinds[pseudonym.Object], kinds[pseudonym.Label],
				kinds[pseudonym.Agent], kinds[pseudonym.Host], kinds[pseudonym.Image], kinds[pseudonym.Address],
				m.SecretValues, m.Tokens, m.Credentials, m.PEM, m.Hosts)
			return err
		},
	}
	// This hides the output format: the command makes files, and -o says where, as everywhere.
	c.Flags().StringVarP(&file, "output", "o", "", "file to write; zstd if it ends in .zst")
	c.Flags().StringVar(&keyFile, "key", "", "file with the key of the pseudonyms; made if it is not there")
	c.Flags().StringVar(&mapping, "mapping", "", "write names and pseudonyms to this file, one JSON object a line")
	c.Flags().StringSliceVar(&keep, "keep", nil, "words that stay (may be repeated)")
	return c
}

// readKey reads the key of pseudonyms, or draws one.
func readKey(file string) ([]byte, error) {
	key := make([]byte, 32)
	if file == "" {
		_, err := rand.Read(key)
		return key, err
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		text = []byte(rand.Text() + "\n")
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_, err = f.Write(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("make key of pseudonyms: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("key of pseudonyms: %w", err)
	}
	if len(strings.TrimSpace(string(text))) < 16 {
		return nil, fmt.Errorf("key of pseudonyms %s: too short to be a secret: 16 characters at least, or remove the file to have one made", file)
	}
	return text, nil
}

// anonymise writes the result to its place only when it was found clean.
func anonymise(cmd *cobra.Command, names *pseudonym.Names, log, file string) (r pseudonym.Report, err error) {
	dir := filepath.Dir(file)
	plain, err := os.CreateTemp(dir, ".anonymise-*")
	if err != nil {
		return r, fmt.Errorf("anonymise: %w", err)
	}
	defer os.Remove(plain.Name())
	defer plain.Close()
	if r, err = names.Rewrite(cmd.Context(), log, plain); err != nil {
		return r, err
	}
	if r.Lines == 0 {
		return r, fmt.Errorf("anonymise %s: no line of JSON in it", printable(log))
	}
	if !strings.HasSuffix(file, ".zst") {
		return r, errors.Join(plain.Sync(), os.Rename(plain.Name(), file))
	}
	packed, err := os.CreateTemp(dir, ".anonymise-*")
	if err != nil {
		return r, fmt.Errorf("anonymise: %w", err)
	}
	defer os.Remove(packed.Name())
	if _, err := plain.Seek(0, io.SeekStart); err != nil {
		return r, errors.Join(err, packed.Close())
	}
	enc, err := zstd.NewWriter(packed, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return r, errors.Join(err, packed.Close())
	}
	_, err = io.Copy(enc, plain)
	if err := errors.Join(err, enc.Close(), packed.Sync(), packed.Close()); err != nil {
		return r, fmt.Errorf("anonymise: write %s: %w", file, err)
	}
	return r, os.Rename(packed.Name(), file)
}

func writeMapping(file string, pairs []pseudonym.Pair) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // it undoes everything
	if err != nil {
		return fmt.Errorf("write mapping: %w", err)
	}
	w := bufio.NewWriter(f)
	for _, p := range pairs {
		if err = json.MarshalWrite(w, p); err != nil {
			break
		}
		w.WriteByte('\n') // the error stays until Flush
	}
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write mapping: %w", err)
	}
	return nil
}
