package main

import "github.com/fastnet-go/fastnet/internal/defect"

// planted is a defect with the tests that are meant to notice it. If they do not,
// all others of the packages below are run.
type planted struct {
	name defect.Name
	pkg  string
	test string // a regular expression, as go test -run takes it
}

// packages are those whose tests are built.
var packages = []string{"fastnet", "stack", "dialer", "listener"}

const errorsTest = "TestErrorsAreThoseOfPackageNet/"

var list = []planted{
	{defect.SecondCloseSucceeds, "fastnet", errorsTest + "^two_at_a_time_close"},
	{defect.CloseResets, "fastnet", errorsTest + "^read_after_the_peer's_Close"},
	{defect.LingerIgnored, "fastnet", errorsTest + "^read_after_a_RST"},
	{defect.UnreadDataIsFinished, "fastnet", errorsTest + "^close_with_unread_data"},
	{defect.CloseWriteClosesBoth, "fastnet", "TestHalfClose"},
	{defect.CloseWriteIsLocal, "fastnet", "TestHalfClose"},
	{defect.CloseReadIgnored, "fastnet", errorsTest + "^half_close_of_the_reading"},
	{defect.ReadersSleepOn, "fastnet", errorsTest + "^all_readers_are_woken_by_Close"},
	{defect.HalfCloseLost, "fastnet", "TestHalfClose"},
	{defect.ResetDropsData, "fastnet", errorsTest + "^data_before_a_RST"},
	{defect.ResetIsEOF, "fastnet", errorsTest + "^read_after_a_RST"},
	{defect.ResetIsTold, "fastnet", errorsTest + "^write_after_a_RST"},
	{defect.FirstWriteFails, "fastnet", errorsTest + "^write_after_the_peer's_Close"},
	{defect.ByteTwice, "fastnet", "TestReadFromAndWriteToCopyEverything|TestBuffersAreWrittenInOrder"},
	{defect.PendingReadSleepsOn, "fastnet", errorsTest + "^SetDeadline_ends_Reads"},
	{defect.ReadDeadlineStays, "fastnet", errorsTest + "^deadlines_in_the_past"},
	{defect.WriteDeadlineIgnored, "fastnet", errorsTest + "^deadlines_in_the_past"},
	{defect.KeepAliveIgnored, "fastnet", "TestKeepAliveIsConfigured"},
	{defect.ReadFromDropsTheRest, "fastnet", "TestReadFromAndWriteToCopyEverything"},
	{defect.BuffersTwice, "fastnet", "TestBuffersAreWrittenInOrder"},

	{defect.TruncationTooMuch, "fastnet", errorsTest + "^a_datagram_that_is_longer"},
	{defect.EmptyDatagramLost, "fastnet", "TestDatagramsKeepTheirBorders"},
	{defect.ZoneLost, "fastnet", "TestLinkLocalAddressesHaveZones"},
	{defect.SourceNil, "fastnet", "TestDatagramsKeepTheirBorders"},
	{defect.RefusalLost, "fastnet", errorsTest + "^nobody_at_the_other_end"},
	{defect.ConnectedHearsAll, "fastnet", errorsTest + "^a_connected_socket_hears"},
	{defect.WriteToConnected, "fastnet", errorsTest + "^name_an_address"},
	{defect.MessageTooLong, "fastnet", errorsTest + "^a_datagram_too_large"},
	{defect.FormOfAddress, "fastnet", "TestDatagramsKeepTheirBorders"},
	{defect.DatagramDeadlineOff, "fastnet", errorsTest + "^deadlines_of_a_UDP_socket"},

	{defect.AcceptHangs, "fastnet", errorsTest + "^Close_ends_all_that_wait"},
	{defect.AcceptDeadlineOff, "fastnet", errorsTest + "^accept_after_the_deadline"},
	{defect.BacklogLeaks, "fastnet", errorsTest + "^connections_that_nobody_accepted"},
	{defect.WildcardPortShared, "fastnet", errorsTest + "^two_TCP_listeners"},
	{defect.DialledPortShared, "fastnet", errorsTest + "^listen_on_the_port_of_a_connection"},
	{defect.SamePortTwice, "fastnet", errorsTest + "^sockets_without_a_port"},
	{defect.V6OnlyIgnored, "fastnet", "TestWildcardListeners"},
	{defect.ReusePortIgnored, "fastnet", "TestReusePortSetByControl"},
	{defect.LargePortTruncated, "fastnet", errorsTest + "^dial_impossible_address"},
	{defect.MergeLeaks, "listener", "."},
	{defect.ControlNotCalled, "fastnet", "TestControlIsTold"},

	{defect.ContextIgnored, "fastnet", "TestDialEndsWhileTheNeighbour"},
	{defect.TimeoutIgnored, "fastnet", "TestDialEndsWhileTheNeighbour"},
	{defect.CancelIgnored, "fastnet", "TestDialEndsWhileTheNeighbour"},
	{defect.EndedDialLeaks, "fastnet", "TestDialEndsInTheHandshake"},
	{defect.TypedNil, "fastnet", errorsTest + "^dial_a_port_where"},
	{defect.LoserLeaks, "dialer", "."},
	{defect.FallbackNever, "fastnet", "TestHappyEyeballs"},
	{defect.NoResolutionDelay, "dialer", "TestLookup"},
	{defect.LateFamilyLost, "dialer", "."},
	{defect.HintIgnored, "fastnet", errorsTest + "^dial_from_an_address_of_another"},
	{defect.DeadServerAskedOn, "fastnet", "TestAServerThatDoesNotAnswer"},
	{defect.FamilyIgnored, "dialer", "TestResolve"},
	{defect.BindErrorIsConnect, "fastnet", errorsTest + "^dial_from_a_port_in_use"},

	{defect.SourceMissing, "fastnet", errorsTest + "^read_after_a_RST"},
	{defect.AddrMissing, "fastnet", errorsTest + "^addresses_stay"},
	{defect.SyscallMissing, "fastnet", errorsTest + "^read_after_a_RST"},
	{defect.TimeoutUnmarked, "fastnet", errorsTest + "^deadlines_in_the_past"},
	{defect.ClosedUnmarked, "fastnet", errorsTest + "^close_while_calls_wait"},
	{defect.RequireIgnored, "fastnet", "TestRequire"},
	{defect.FallbackUnlogged, "fastnet", "TestWhatOnlyTheKernelHas"},
}
