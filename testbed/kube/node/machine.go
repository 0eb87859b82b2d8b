package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	apitest "k8s.io/cri-api/pkg/apis/testing"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"

	"k8ntext/testbed/kube/container"
)

// machine is the hardware that the kubelet believes to run on.
type machine struct{ cadvisortest.Fake }

func newMachine(node string) *machine { return &machine{cadvisortest.Fake{NodeName: node}} }

func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{
		NumCores: 8, MemoryCapacity: 32 << 30, InstanceID: cadvisorapi.InstanceID(m.NodeName),
		MachineID: hex.EncodeToString([]byte(m.NodeName + "-machine-id")), SystemUUID: m.NodeName, BootID: m.NodeName,
	}, nil
}

// ImagesFsInfo has a capacity: without one the kubelet sends InvalidDiskCapacity and ImageGCFailed every
// five minutes.
func (m *machine) ImagesFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return cadvisorapiv2.FsInfo{Device: "/dev/vda1", Mountpoint: "/", Capacity: 100 << 30, Available: 80 << 30, Usage: 20 << 30}, nil
}

func (m *machine) RootFsInfo() (cadvisorapiv2.FsInfo, error) {
	return m.ImagesFsInfo(context.Background())
}

func (m *machine) ContainerFsInfo(ctx context.Context) (cadvisorapiv2.FsInfo, error) {
	return m.ImagesFsInfo(ctx)
}

func (m *machine) GetDirFsInfo(string) (cadvisorapiv2.FsInfo, error) {
	return m.ImagesFsInfo(context.Background())
}

func (m *machine) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	return &cadvisorapi.VersionInfo{KernelVersion: "6.1.0-38-amd64", ContainerOsVersion: "Debian GNU/Linux 12 (bookworm)"}, nil
}

// images is a registry that has every image but those whose names say that they are not there.
type images struct{ *apitest.FakeImageService }

func newImages(root string) *images {
	i := &images{apitest.NewFakeImageService()}
	i.SetFakeImageSize(50 << 20)
	i.SetFakeFilesystemUsage([]*runtimeapi.FilesystemUsage{{
		Timestamp: time.Now().UnixNano(), FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: root},
		UsedBytes: &runtimeapi.UInt64Value{Value: 1 << 30}, InodesUsed: &runtimeapi.UInt64Value{Value: 1000},
	}})
	return i
}

// pullTime is how long a pull takes.
const pullTime = 400 * time.Millisecond

func (i *images) PullImage(ctx context.Context, image *runtimeapi.ImageSpec, auth *runtimeapi.AuthConfig, pod *runtimeapi.PodSandboxConfig) (string, error) {
	time.Sleep(pullTime)
	if why := container.PullError(image.Image); why != "" {
		return "", fmt.Errorf("failed to pull and unpack image %q: %s", image.Image, why)
	}
	return i.FakeImageService.PullImage(ctx, image, auth, pod)
}
